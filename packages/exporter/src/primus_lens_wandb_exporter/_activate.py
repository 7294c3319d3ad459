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
    would cost each start of Python 0.3 ms and more. It leaves reading the switch to `find_wandb`:
    that alone would cost 0.1 ms of the 0.5 a start may cost.
    """
    if not switched_on() or getattr(sys, "_primus_lens", None) in sys.meta_path:
        return

    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:  # noqa: ARG001 - the finder protocol names them
        return find_wandb() if name == "wandb" else None

    find_spec.find_spec = find_spec  # type: ignore[attr-defined]  # a finder is what has find_spec
    sys._primus_lens = find_spec  # type: ignore[attr-defined]  # noqa: SLF001 - ours, as in the .pth line
    sys.meta_path.insert(0, find_spec)  # type: ignore[arg-type]  # as above


def find_wandb() -> Any:
    """Answer the finder's question for wandb: the real spec, watched.

    Returns None, so that Python goes on to the real finders, when the hook is switched off or
    anything of ours fails.
    """
    finder = getattr(sys, "_primus_lens", None)
    if not switched_on():
        sys.meta_path[:] = [other for other in sys.meta_path if other is not finder]
        return None
    from primus_lens_wandb_exporter import _guard, _import_watch  # noqa: PLC0415 - not before wandb

    with _guard.guard("import_watch"):
        return _import_watch.watched_spec(finder)
    return None
