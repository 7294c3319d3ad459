"""Second room: call back once, after wandb was really executed.

`find_spec("wandb")` alone (transformers asks that way whether wandb is there) must not use the
watch up, so the finder stays until `exec_module` has returned.
"""

import sys
from types import ModuleType
from typing import Any

from primus_lens_wandb_exporter import _guard


def watched_spec(finder: Any) -> Any:
    """Find the spec of wandb with the other finders and wrap its loader's `exec_module`.

    Only the attribute of that one loader instance is replaced, so resource readers, `get_source`
    and reload keep working. Returns None when no finder knows wandb.
    """
    spec = None
    for other in list(sys.meta_path):
        find = None if other is finder else getattr(other, "find_spec", None)
        spec = find("wandb", None) if find else None
        if spec is not None:
            break
    loader = getattr(spec, "loader", None)
    if loader is not None and hasattr(loader, "exec_module"):
        _wrap_exec(loader, finder)
    return spec


def _wrap_exec(loader: Any, finder: Any) -> None:
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        # A zip importer is one loader for the whole archive: only wandb itself counts.
        if module.__name__ == "wandb":
            with _guard.guard("install"):
                _disarm(loader, finder)
                install(module)

    loader.exec_module = exec_module


def _disarm(loader: Any, finder: Any) -> None:
    if finder in sys.meta_path:
        sys.meta_path.remove(finder)
    vars(loader).pop("exec_module", None)


def install(wandb: ModuleType) -> None:
    """Tap an executed wandb, once. Everything heavy of ours is imported here."""
    if getattr(wandb, "_primus_lens_patched", False):
        return
    from primus_lens_wandb_exporter import _intercept  # noqa: PLC0415 - not before wandb

    _intercept.install(wandb)
