import pytest

from primus_lens_wandb_exporter import _hardware


def write(root, files):
    """Lay out files as a kernel would."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


@pytest.fixture
def nvidia(tmp_path):
    """Two H100 as the NVIDIA driver shows them in /proc."""
    info = "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 55\nGPU UUID: \t GPU-1\n"
    write(
        tmp_path,
        {
            "driver/nvidia/gpus/0000:18:00.0/information": info,
            "driver/nvidia/gpus/0000:2a:00.0/information": info,
            "driver/nvidia/version": "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  "
            "570.86.15  Release Build\nGCC version: 12.3.0\n",
        },
    )
    return tmp_path


@pytest.fixture
def amd(tmp_path):
    """A CPU and two MI300X as the amdgpu driver shows them in /sys."""
    nodes = "class/kfd/kfd/topology/nodes"
    write(tmp_path, {f"{nodes}/0/properties": "cpu_cores_count 96\nsimd_count 0\n"})
    for node in (1, 2):
        write(
            tmp_path,
            {
                f"{nodes}/{node}/properties": "cpu_cores_count 0\nsimd_count 1216\n"
                f"gfx_target_version 90402\ndrm_render_minor {127 + node}\n",
                f"{nodes}/{node}/mem_banks/0/properties": "heap_type 1\n"
                "size_in_bytes 206141652992\n",
                f"class/drm/renderD{127 + node}/device/product_name": "AMD Instinct MI300X OAM\n",
            },
        )
    write(tmp_path, {"module/amdgpu/version": "6.10.5\n"})
    return tmp_path


def test_nvidia(nvidia, tmp_path):
    """NVIDIA GPUs are counted and named from /proc."""
    assert _hardware.look(nvidia, tmp_path / "no-sys") == {
        "gpu_vendor": "nvidia",
        "gpu_count": 2,
        "gpu_name": "NVIDIA H100 80GB HBM3",
        "driver_version": "570.86.15",
    }


def test_amd(amd, tmp_path):
    """AMD GPUs are counted, named and measured from /sys."""
    assert _hardware.look(tmp_path / "no-proc", amd) == {
        "gpu_vendor": "amd",
        "gpu_count": 2,
        "gpu_name": "AMD Instinct MI300X OAM",
        "gpu_arch": "gfx942",
        "gpu_memory_gb": 192.0,
        "driver_version": "6.10.5",
    }


@pytest.mark.parametrize(
    "version,name", [(0, ""), (90010, "gfx90a"), (90402, "gfx942"), (110000, "gfx1100")]
)
def test_architecture(version, name):
    """The kernel's number of an architecture gives the compiler's name of it."""
    assert _hardware._architecture(version) == name


def test_facts_that_are_not_shown_are_left_out(tmp_path):
    """A container that shows a GPU and nothing about it gives a count."""
    write(tmp_path, {"class/kfd/kfd/topology/nodes/1/properties": "simd_count 1216\n"})
    assert _hardware.look(tmp_path, tmp_path) == {"gpu_vendor": "amd", "gpu_count": 1}


def test_driver_without_a_version(nvidia):
    """A driver's version that does not look like one is left out."""
    (nvidia / "driver/nvidia/version").write_text("NVRM version: unknown 5\n")
    assert "driver_version" not in _hardware.look(nvidia, nvidia)


def test_no_gpu(tmp_path):
    """A machine without a GPU has nothing to say."""
    assert _hardware.look(tmp_path, tmp_path) == {}


def test_memory(tmp_path):
    """The machine's memory is in bytes."""
    write(tmp_path, {"meminfo": "MemTotal:       24684084 kB\nMemFree: 1 kB\n"})
    assert _hardware.memory_bytes(tmp_path) == 24684084 * 1024


def test_memory_unknown(tmp_path):
    """A machine that does not say how much memory it has gives 0."""
    assert _hardware.memory_bytes(tmp_path) == 0
