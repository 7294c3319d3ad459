"""Our faults are counted here and go no further.

The one broad `except` elsewhere is that of the rows' tap: there a call costs too much.
"""

import signal
from types import TracebackType
from typing import Any, Callable, Optional

from primus_lens_wandb_exporter import _errors

reraise = False  # our own tests set it, so that a guard cannot hide a bug from them


def swallow(where: str, error: Exception) -> None:
    """Count a fault of ours; nobody else hears of it. What a signal handler raised is raised on."""
    if not _is_the_jobs(error):
        _errors.note(where, error)
        if not reraise:
            return
    raise error


def _is_the_jobs(error: Exception) -> bool:
    """Say whether a signal handler of the job raised this, in the middle of our work.

    It interrupts whatever runs, a time limit by SIGALRM for one, and has to reach the job.
    """
    handlers = {_code(signal.getsignal(number)) for number in signal.valid_signals()} - {None}
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in handlers:
            return True
        trace = trace.tb_next
    return False


def _code(handler: Any) -> Any:
    """Return the code a handler runs: of a function, a method, a partial or what is callable."""
    handler = getattr(handler, "func", handler)
    if not hasattr(handler, "__code__"):
        handler = getattr(handler, "__func__", None) or type(handler).__call__
    return getattr(handler, "__code__", None)


class Guard:
    """A context that swallows our own exceptions; KeyboardInterrupt and SystemExit pass.

    It holds no state, so one instance per place serves every thread.
    """

    __slots__ = ("where",)

    def __init__(self, where: str) -> None:
        self.where = where

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> bool:
        if kind is None or not isinstance(error, Exception):
            return False
        swallow(self.where, error)
        return True


guard = Guard


def guarded(where: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """Return the call, answering None where it raises."""

    def run(*args: Any) -> Any:
        try:
            return call(*args)
        except Exception as error:  # noqa: BLE001 - as Guard
            swallow(where, error)
            return None

    return run
