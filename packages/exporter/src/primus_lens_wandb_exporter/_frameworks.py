"""Which frameworks this process has loaded, and which it really uses.

One table and a look at sys.modules. Nothing is imported and no attribute of a foreign module is
asked for: many are lazy and would import on being asked, so their __dict__ is read instead.
"""

import re
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

WRAPPER = "wrapper"
BASE = "base"
UNKNOWN = "unknown"


class Framework(NamedTuple):
    """One framework.

    roots: (module, distribution) pairs; a loaded module means the framework is loaded, the
    distribution has its version. proofs: what shows its use, one is enough: a loaded module
    `a.b`; any loaded module below a package, `a.b.*`; a global of a loaded module that has been
    given a value, `a.b:name` or `a.b:Class.name`.
    """

    name: str
    layer: str
    roots: tuple[tuple[str, str], ...]
    proofs: tuple[str, ...]


# Outermost wrapper first, as the server's table. Where a library's own import loads its trainer
# (Lightning, Composer, Keras), having imported it is all there is to see.
FRAMEWORKS = (
    Framework(
        "primus",
        WRAPPER,
        (("primus", "primus"),),
        ("primus.core.*", "primus.backends.*", "primus.modules.*", "primus.pretrain"),
    ),
    Framework(
        "llamafactory",
        WRAPPER,
        (("llamafactory", "llamafactory"),),
        ("llamafactory.train.*", "llamafactory.v1.*"),
    ),
    Framework("axolotl", WRAPPER, (("axolotl", "axolotl"),), ("axolotl.train", "axolotl.core.*")),
    Framework("unsloth", WRAPPER, (("unsloth", "unsloth"),), ("unsloth.models.loader",)),
    Framework("verl", WRAPPER, (("verl", "verl"),), ("verl.trainer.*",)),
    Framework(
        "nemo",
        WRAPPER,
        (("nemo", "nemo-toolkit"),),
        ("nemo.core.classes.modelPT", "nemo.lightning.*"),
    ),
    Framework(
        "ray_train",
        WRAPPER,
        (("ray.train", "ray"),),
        (
            "ray.train._internal.session:_session",
            "ray.train.v2._internal.execution.context:_train_context",
        ),
    ),
    Framework("trl", WRAPPER, (("trl", "trl"),), ("trl.trainer.*",)),
    Framework(
        "lightning",
        WRAPPER,
        (("lightning.pytorch", "lightning"), ("pytorch_lightning", "pytorch-lightning")),
        ("lightning.pytorch.trainer.trainer", "pytorch_lightning.trainer.trainer"),
    ),
    Framework("composer", WRAPPER, (("composer", "mosaicml"),), ("composer.trainer.trainer",)),
    Framework(
        "transformers_trainer",
        WRAPPER,
        (("transformers.trainer", "transformers"),),
        ("transformers.trainer",),
    ),
    Framework(
        "keras",
        WRAPPER,
        (("keras", "keras"), ("tf_keras", "tf-keras")),
        ("keras.src.trainers.trainer", "keras.src.engine.training", "tf_keras.src.engine.training"),
    ),
    Framework(
        "accelerate",
        WRAPPER,
        (("accelerate", "accelerate"),),
        ("accelerate.state:AcceleratorState._shared_state",),
    ),
    Framework(
        "megatron",
        BASE,
        (("megatron.core", "megatron-core"), ("megatron.training", "megatron-core")),
        ("megatron.training.training", "megatron.core.parallel_state:_DATA_PARALLEL_GROUP"),
    ),
    Framework("deepspeed", BASE, (("deepspeed", "deepspeed"),), ("deepspeed.comm.comm:cdb",)),
    Framework(
        "torchtitan",
        BASE,
        (("torchtitan", "torchtitan"),),
        ("torchtitan.train", "torchtitan.trainer", "torchtitan.components.metrics"),
    ),
    Framework(
        "maxtext",
        BASE,
        (("MaxText", "maxtext"), ("maxtext", "maxtext")),
        ("MaxText.*", "maxtext.*"),
    ),
    Framework("flax", BASE, (("flax", "flax"),), ("flax.training.train_state", "flax.nnx")),
    Framework("jax", BASE, (("jax", "jax"),), ("jax._src.xla_bridge:_backends",)),
    Framework(
        "transformers",
        BASE,
        (("transformers", "transformers"),),
        ("transformers.modeling_utils",),
    ),
)

_BACKENDS = "primus.backends."
_GLOBALS = tuple(proof for one in FRAMEWORKS for proof in one.proofs if ":" in proof)


class Seen(NamedTuple):
    """One framework that is loaded. proof: what shows its use, "" when nothing does."""

    framework: Framework
    version: str
    proof: str


def loaded_modules() -> dict[str, Any]:
    """Every module this process has loaded; the main one also under the name of `python -m`."""
    # list(sys.modules.items()) makes objects, so the garbage collector may run amid it, and with it
    # another thread that imports; up to Python 3.11 that raises. A copy of the dict makes none.
    modules = {name: module for name, module in sys.modules.copy().items() if module is not None}
    main = modules.get("__main__")
    spec = contents(main).get("__spec__")
    name = getattr(spec, "name", None)
    if main is not None and isinstance(name, str):
        modules.setdefault(name, main)
    return modules


def look(modules: Mapping[str, Any], versions: Mapping[str, str]) -> list[Seen]:
    """The loaded frameworks, in the table's order. versions: of installed distributions."""
    seen = []
    for framework in FRAMEWORKS:
        loaded = [(root, dist) for root, dist in framework.roots if root in modules]
        proof = next((proof for proof in framework.proofs if _holds(proof, modules)), "")
        if loaded or proof:
            root, distribution = loaded[0] if loaded else framework.roots[0]
            version = versions.get(distribution) or own_version(modules.get(root))
            seen.append(Seen(framework, version, proof))
    return seen


def globals_in_use(modules: Mapping[str, Any]) -> int:
    """How many of the globals that prove use have been given a value."""
    return sum(_holds(proof, modules) for proof in _GLOBALS)


def primus_base(modules: Mapping[str, Any], env: Mapping[str, str], used: set[str]) -> str:
    """The base that Primus drives, "" when it does not show.

    What PRIMUS_BACKEND says; without it a loaded backend of Primus, one that is in use first.
    """
    named = env.get("PRIMUS_BACKEND", "").strip().lower()
    if re.fullmatch(r"[a-z0-9_.-]{1,32}", named):
        return named
    backends = {
        name[len(_BACKENDS) :].partition(".")[0] for name in modules if name.startswith(_BACKENDS)
    }
    bases = [one.name for one in FRAMEWORKS if one.layer == BASE and one.name in backends]
    return next((base for base in bases if base in used), bases[0] if bases else "")


def own_version(module: object) -> str:
    """The `__version__` of a loaded module, "unknown" without one."""
    version = contents(module).get("__version__")
    return version[:64] if isinstance(version, str) and version else UNKNOWN


def contents(module: object) -> dict[str, Any]:
    """A module's globals, without asking the module: a lazy one would import."""
    found = getattr(module, "__dict__", None)
    return found if isinstance(found, dict) else {}


def _holds(proof: str, modules: Mapping[str, Any]) -> bool:
    if proof.endswith(".*"):
        # Its own entry first: a trainer may have ten thousand modules to go through.
        return proof[:-2] in modules and any(name.startswith(proof[:-1]) for name in modules)
    module, _, path = proof.partition(":")
    if module not in modules:
        return False
    return not path or _has_value(modules[module], path)


def _has_value(module: object, path: str) -> bool:
    value: object = module
    for name in path.split("."):
        found: Mapping[str, Any] = getattr(value, "__dict__", None) or {}
        value = found.get(name)
    # Only what is known to be harmless to ask: a foreign object's own __bool__ may do anything.
    return value is not None and not (isinstance(value, (dict, list, tuple, set)) and not value)
