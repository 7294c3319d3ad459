"""First room: what the `.pth` line calls, and nothing else.

This module is imported when `wandb` is first looked for (or at start-up by a `.start` file, Python
3.15), so it imports nothing itself: every other room waits until wandb was really executed.
"""

import os
import sys
from typing import Any

_OFF = ("false", "0", "no", "off")


def switched_on() -> bool:
    """Say whether PRIMUS_LENS_WANDB_HOOK leaves the hook on; it is on unless told otherwise."""
    return os.environ.get("PRIMUS_LENS_WANDB_HOOK", "").strip().lower() not in _OFF


def arm() -> None:
    """Put our finder first in `sys.meta_path`, once, unless it is switched off.

    The `.pth` line holds the same few statements inline, because importing even this small module
    would cost each start of Python 0.3 ms and more.
    """
    if not switched_on() or any(hasattr(finder, "primus_lens") for finder in sys.meta_path):
        return

    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:  # noqa: ARG001 - the finder protocol names them
        return find_wandb(find_spec) if name == "wandb" else None

    find_spec.find_spec = find_spec.primus_lens = find_spec  # type: ignore[attr-defined]  # the finder protocol asks for an attribute
    sys.meta_path.insert(0, find_spec)  # type: ignore[arg-type]  # as above


def find_wandb(finder: Any) -> Any:
    """Answer the finder's question for wandb: the real spec, watched.

    Returns None, so that Python goes on to the real finders, if anything of ours fails.
    """
    from primus_lens_wandb_exporter import _guard, _import_watch  # noqa: PLC0415 - not before wandb

    with _guard.guard("import_watch"):
        return _import_watch.watched_spec(finder)
    return None
