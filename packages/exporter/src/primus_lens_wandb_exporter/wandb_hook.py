"""The public face: for interpreters that read no `.pth` files (python -S, PYTHONPATH installs)."""

import sys

from primus_lens_wandb_exporter import _activate, _guard, _import_watch

__all__ = ["install_wandb_hook"]


def install_wandb_hook() -> None:
    """Report what this process logs to wandb, whether wandb is imported already or only later.

    Does nothing when PRIMUS_LENS_WANDB_HOOK is false or the hook is in place. Never raises.
    """
    with _guard.guard("install"):
        wandb = sys.modules.get("wandb")
        if wandb is None:
            _activate.arm()
        elif _activate.switched_on():
            _import_watch.install(wandb)
