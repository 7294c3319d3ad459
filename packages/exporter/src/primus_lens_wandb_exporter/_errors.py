"""What went wrong inside the exporter: counted by place, kept for `status`, told once a minute."""

import contextlib
import sys
import time
import traceback

_KEPT = 20  # enough to read what happened, small enough never to matter in the job's memory
_QUIET_S = 60.0

debug = False  # set from PRIMUS_LENS_WANDB_DEBUG
counts: dict[str, int] = {}
kept: list[tuple[float, str, str]] = []
_told: dict[str, float] = {}


def note(where: str, error: BaseException) -> None:
    """Count an error of ours and keep its last line; when debugging, tell its traceback.

    Never raises: a job's tests may have replaced the clock, `open` or stderr under us.
    """
    counts[where] = counts.get(where, 0) + 1
    with contextlib.suppress(Exception):
        if len(kept) < _KEPT:
            line = "".join(traceback.format_exception_only(type(error), error)).strip()
            kept.append((time.time(), where, line))
        if debug:
            trace = traceback.format_exception(type(error), error, error.__traceback__)
            tell(where, "".join(trace))


def tell(topic: str, text: str) -> None:
    """Write to stderr when debugging is on; the same topic at most once a minute."""
    if not debug:
        return
    with contextlib.suppress(Exception):  # a job may put anything in the place of stderr
        now = time.monotonic()
        if now - _told.get(topic, -_QUIET_S) >= _QUIET_S:
            _told[topic] = now
            sys.stderr.write(f"[primus-lens] {topic}: {text}\n")
