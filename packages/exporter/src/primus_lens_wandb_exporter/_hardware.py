"""What the machine is, read from /proc and /sys alone: no driver is called, no GPU is woken."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_PROC = Path("/proc")
_SYS = Path("/sys")
_LONGEST_FILE = 16384  # bytes; these files have a few hundred


def look(proc: Path = _PROC, sysfs: Path = _SYS) -> dict[str, Any]:
    """The GPUs of this machine, or of as much of it as the container shows.

    gpu_name is that of most of them. gpu_memory_gb is of one GPU, in GiB, known for AMD only.
    Empty without a GPU or on a system that does not say.
    """
    return _nvidia(proc) or _amd(sysfs)


def memory_bytes(proc: Path = _PROC) -> int:
    """The machine's memory, 0 when it does not say."""
    words = _fields(proc / "meminfo", ":").get("MemTotal", "").split()
    return int(words[0]) * 1024 if words and words[0].isdecimal() else 0


def _nvidia(proc: Path) -> dict[str, Any]:
    root = proc / "driver" / "nvidia"
    names = [_fields(gpu / "information", ":").get("Model", "") for gpu in _entries(root / "gpus")]
    if not names:
        return {}
    found = {"gpu_vendor": "nvidia", "gpu_count": len(names), "gpu_name": _most_common(names)}
    version = _read(root / "version").splitlines()[:1]
    driver = next((word for word in " ".join(version).split() if word[:1].isdigit()), "")
    return _known({**found, "driver_version": driver if "." in driver else ""})


def _amd(sysfs: Path) -> dict[str, Any]:
    gpus = list(_kfd_gpus(sysfs))
    if not gpus:
        return {}
    found = {
        "gpu_vendor": "amd",
        "gpu_count": len(gpus),
        "gpu_name": _most_common([name for name, _, _ in gpus]),
        "gpu_arch": _most_common([arch for _, arch, _ in gpus]),
        "gpu_memory_gb": round(max(memory for _, _, memory in gpus) / 2**30, 1),
        "driver_version": _read(sysfs / "module" / "amdgpu" / "version").strip(),
    }
    return _known(found)


def _kfd_gpus(sysfs: Path) -> Iterator[tuple[str, str, int]]:
    """Product name, architecture and memory in bytes of each GPU in the KFD topology."""
    for node in _entries(sysfs / "class" / "kfd" / "kfd" / "topology" / "nodes"):
        facts = _fields(node / "properties", " ")
        if _number(facts, "simd_count") == 0:
            continue  # a CPU
        render = f"renderD{facts.get('drm_render_minor', '')}"
        product = _read(sysfs / "class" / "drm" / render / "device" / "product_name").strip()
        memory = sum(
            _number(_fields(bank / "properties", " "), "size_in_bytes")
            for bank in _entries(node / "mem_banks")
        )
        yield product, _architecture(_number(facts, "gfx_target_version")), memory


def _architecture(version: int) -> str:
    """`gfx942` of 90402: major, minor and stepping are two decimal digits each, written in hex."""
    if not version:
        return ""
    return f"gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}"


def _known(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value}


def _most_common(names: list[str]) -> str:
    counted = Counter(name for name in names if name)
    return counted.most_common(1)[0][0][:128] if counted else ""


def _number(facts: dict[str, str], name: str) -> int:
    word = facts.get(name, "")
    return int(word) if word.isdecimal() else 0


def _fields(path: Path, separator: str) -> dict[str, str]:
    """A file of `name<separator>value` lines."""
    lines = (line.partition(separator) for line in _read(path).splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST_FILE).decode("utf-8", "replace")
    except OSError:  # not this kind of machine, or not ours to read
        return ""
