import gc
import subprocess
import sys
import types

import pytest

from primus_lens_wandb_exporter import _frameworks


def modules(*names, **contents):
    """Modules as sys.modules would hold them, inside their packages; contents are of the last."""
    parts = [name.split(".") for name in names]
    inside = [".".join(part[: depth + 1]) for part in parts for depth in range(len(part))]
    loaded = {name: types.ModuleType(name) for name in inside}
    vars(loaded[names[-1]]).update(contents)
    return loaded


def used(loaded):
    """Which frameworks are loaded, and whether each is in use."""
    return {one.framework.name: bool(one.proof) for one in _frameworks.look(loaded, {})}


def state(**shared):
    """A class as accelerate keeps what it has set up: in an attribute of the class."""
    return type("AcceleratorState", (), {"_shared_state": shared})


@pytest.mark.parametrize(
    "names,framework",
    [
        (("primus", "primus.core.backend.backend_registry"), "primus"),
        (("primus", "primus.pretrain"), "primus"),
        (("lightning.pytorch", "lightning.pytorch.trainer.trainer"), "lightning"),
        (("pytorch_lightning", "pytorch_lightning.trainer.trainer"), "lightning"),
        (("transformers.trainer",), "transformers_trainer"),
        (("trl", "trl.trainer.sft_trainer"), "trl"),
        (("nemo", "nemo.core.classes.modelPT"), "nemo"),
        (("verl", "verl.trainer.ppo.ray_trainer"), "verl"),
        (("composer", "composer.trainer.trainer"), "composer"),
        (("keras", "keras.src.trainers.trainer"), "keras"),
        (("unsloth", "unsloth.models.loader"), "unsloth"),
        (("axolotl", "axolotl.train"), "axolotl"),
        (("llamafactory", "llamafactory.train.tuner"), "llamafactory"),
        (("megatron.core", "megatron.training.training"), "megatron"),
        (("torchtitan", "torchtitan.components.metrics"), "torchtitan"),
        (("MaxText", "MaxText.train"), "maxtext"),
        (("flax", "flax.training.train_state"), "flax"),
        (("transformers", "transformers.modeling_utils"), "transformers"),
    ],
)
def test_module_that_proves_use(names, framework):
    """A framework whose proving module is loaded is in use."""
    assert used(modules(*names)).get(framework) is True


@pytest.mark.parametrize(
    "root,framework",
    [
        ("primus", "primus"),
        ("trl", "trl"),
        ("nemo", "nemo"),
        ("verl", "verl"),
        ("ray.train", "ray_train"),
        ("accelerate", "accelerate"),
        ("megatron.core", "megatron"),
        ("deepspeed", "deepspeed"),
        ("torchtitan", "torchtitan"),
        ("jax", "jax"),
        ("transformers", "transformers"),
    ],
)
def test_mere_import_proves_nothing(root, framework):
    """A framework of which only the root is loaded is loaded, not in use."""
    assert used(modules(root)) == {framework: False}


@pytest.mark.parametrize(
    "root,module,idle,busy,framework",
    [
        ("jax", "jax._src.xla_bridge", {"_backends": {}}, {"_backends": {"rocm": 1}}, "jax"),
        ("deepspeed", "deepspeed.comm.comm", {"cdb": None}, {"cdb": object()}, "deepspeed"),
        (
            "megatron.core",
            "megatron.core.parallel_state",
            {"_DATA_PARALLEL_GROUP": None},
            {"_DATA_PARALLEL_GROUP": object()},
            "megatron",
        ),
        (
            "ray.train",
            "ray.train._internal.session",
            {"_session": None},
            {"_session": object()},
            "ray_train",
        ),
        (
            "ray.train",
            "ray.train.v2._internal.execution.context",
            {},
            {"_train_context": object()},
            "ray_train",
        ),
        (
            "accelerate",
            "accelerate.state",
            {"AcceleratorState": state()},
            {"AcceleratorState": state(device="cuda")},
            "accelerate",
        ),
    ],
)
def test_global_that_proves_use(root, module, idle, busy, framework):
    """Where importing loads everything, a global that use fills in tells the two apart."""
    assert used(modules(root, module, **idle)) == {framework: False}
    assert used(modules(root, module, **busy)) == {framework: True}


def test_value_is_not_asked_for_its_truth():
    """A foreign object counts by being there; its own __bool__ is not run."""

    class Group:
        def __bool__(self):
            raise AssertionError

    loaded = modules("deepspeed", "deepspeed.comm.comm", cdb=Group())
    assert used(loaded) == {"deepspeed": True}


def test_version_of_the_distribution():
    """The version is that of the distribution the loaded module came with."""
    installed = {"lightning": "2.6", "pytorch-lightning": "1.9"}
    (seen,) = _frameworks.look(modules("pytorch_lightning"), installed)
    assert seen.version == "1.9"


def test_version_of_the_module():
    """Without a distribution the module's own version counts."""
    (seen,) = _frameworks.look(modules("primus", __version__="1.0.0"), {})
    assert seen.version == "1.0.0"


@pytest.mark.parametrize("version", [None, 3, ""])
def test_version_unknown(version):
    """A version that is no text is unknown."""
    (seen,) = _frameworks.look(modules("primus", __version__=version), {})
    assert seen.version == "unknown"


def test_blocked_module_is_not_loaded(monkeypatch):
    """A module somebody blocked with None is not loaded."""
    monkeypatch.setitem(sys.modules, "deepspeed", None)
    assert "deepspeed" not in _frameworks.loaded_modules()


def test_modules_may_be_imported_meanwhile(monkeypatch):
    """What is imported while the loaded modules are listed, even within it, does no harm."""
    for number in range(2000):  # enough for the collector to run amid the listing
        monkeypatch.setitem(sys.modules, f"listed_{number}", types)
    imported = []

    def importing(_phase, _info):
        name = f"imported_{len(imported)}"
        imported.append(name)
        sys.modules[name] = types

    gc.callbacks.append(importing)
    gc.collect()
    try:
        loaded = _frameworks.loaded_modules()
    finally:
        gc.callbacks.remove(importing)
        for name in imported:
            del sys.modules[name]
    assert "listed_1999" in loaded


def test_module_run_as_main_counts_by_its_name(tmp_path):
    """What runs as `python -m torchtitan.train` is loaded as torchtitan.train."""
    package = tmp_path / "torchtitan"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "train.py").write_text(
        "from primus_lens_wandb_exporter import _frameworks\n"
        "seen = _frameworks.look(_frameworks.loaded_modules(), {})\n"
        "print([(one.framework.name, one.proof) for one in seen])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "torchtitan.train"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "[('torchtitan', 'torchtitan.train')]"


def test_script_counts_by_no_other_name(monkeypatch):
    """What runs as `python train.py` is loaded as __main__ alone."""
    script = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", script)
    loaded = _frameworks.loaded_modules()
    assert [name for name, module in loaded.items() if module is script] == ["__main__"]


@pytest.mark.parametrize(
    "names,env,in_use,base",
    [
        (("primus",), {}, set(), ""),
        (("primus",), {"PRIMUS_BACKEND": " Megatron "}, set(), "megatron"),
        (("primus",), {"PRIMUS_BACKEND": "[redacted]"}, set(), ""),
        (("primus.backends.torchtitan.adapter",), {}, set(), "torchtitan"),
        (
            ("primus.backends.megatron", "primus.backends.torchtitan", "primus.backends.common"),
            {},
            {"torchtitan"},
            "torchtitan",
        ),
        (("primus.backends.megatron",), {"PRIMUS_BACKEND": "maxtext"}, set(), "maxtext"),
    ],
)
def test_base_of_primus(names, env, in_use, base):
    """Primus drives what PRIMUS_BACKEND says, else the backend that is loaded and in use."""
    assert _frameworks.primus_base(modules(*names), env, in_use) == base


def test_names_are_unique():
    """Every framework stands in the table once."""
    names = [one.name for one in _frameworks.FRAMEWORKS]
    assert len(names) == len(set(names))
