"""How fast runs go, how long they may be silent, how far they are from their end. Pure.

Called by query/fleet and query/inventory with the rings that store/pulse keeps.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from primus_lens.store.pulse import DONE, RING, TARGET

OUTAGE = 10  # a pause of so many usual gaps belongs to no pace, and makes a silent run stalled
SILENT_AT_LEAST_S = 60.0
SILENT_AT_FIRST_S = 600.0  # while no gap is known: compiling and loading take minutes

_COUNTED = frozenset(DONE)
_PAIR_BYTES = 16
_NO_PAIRS = np.full((RING, 2), np.nan).tobytes()


class Pace(msgspec.Struct, frozen=True, gc=False):
    """rate: steps a second. gap_s: the usual time between two reported steps. None: not known."""

    rate: float | None = None
    gap_s: float | None = None


def paces(rings: Sequence[bytes]) -> list[Pace]:
    """The pace of each ring of (step, Unix seconds); 1 us each for many.

    Only steps that follow one another count, so a restart from an earlier step does not slow the
    pace, nor does a pause of more than 10 usual gaps.
    """
    if not rings:
        return []
    steps, times = unpacked(rings)
    ahead, taken = np.diff(steps, axis=1), np.diff(times, axis=1)
    forward = (ahead > 0) & (taken >= 0)
    count = forward.sum(axis=1)
    in_order = np.sort(np.where(forward, taken, np.nan), axis=1)  # NaN comes last
    usual = in_order[np.arange(len(rings)), np.maximum(count - 1, 0) // 2]
    counted = forward & (taken <= OUTAGE * usual[:, None])
    seconds = np.where(counted, taken, 0.0).sum(axis=1)
    done = np.where(counted, ahead, 0.0).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = done / seconds
    return [
        Pace(rate if 0 < rate < np.inf else None, gap if many else None)
        for rate, gap, many in zip(rates.tolist(), usual.tolist(), count.tolist(), strict=True)
    ]


def unpacked(rings: Sequence[bytes]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First and second numbers of the pairs of n rings, as n x 32, NaN where there is none."""
    filled = b"".join([ring + _NO_PAIRS[len(ring) :] for ring in rings])
    pairs = np.frombuffer(filled, dtype="<f8").reshape(len(rings), RING, 2)
    return pairs[:, :, 0], pairs[:, :, 1]


def sparklines(rings: Sequence[bytes]) -> list[list[float | None]]:
    """The values of rings of (step, value), oldest first; None for what is not finite.

    A step that was told twice is shown once, as it was told last. 1 us each for many.
    """
    if not rings:
        return []
    steps, values = unpacked(rings)
    counts = [len(ring) // _PAIR_BYTES for ring in rings]
    twice = (np.diff(np.sort(steps, axis=1), axis=1) == 0).any(axis=1).tolist()
    uneven = (np.isfinite(values).sum(axis=1) != counts).tolist()
    lines: list[list[float | None]] = [
        line[:count] for line, count in zip(values.tolist(), counts, strict=True)
    ]
    for place in (n for n, odd in enumerate(zip(twice, uneven, strict=True)) if any(odd)):
        shown = dict(zip(steps[place].tolist()[: counts[place]], lines[place], strict=True))
        lines[place] = [v if v is not None and math.isfinite(v) else None for v in shown.values()]
    return lines


def state(said: str | None, *, silent_s: float, gap_s: float | None, followed: bool = False) -> str:
    """What a run does. said: by its exporter. silent_s: since something last came of it.

    followed: whether a later run of the workload began after it fell silent.
    """
    if said != "running":
        return said or "unknown"
    patience = SILENT_AT_FIRST_S if gap_s is None else max(SILENT_AT_LEAST_S, OUTAGE * gap_s)
    if silent_s <= patience:
        return "running"
    return "crashed" if followed else "stalled"


class Progress(msgspec.Struct, frozen=True, gc=False):
    """target_step: where the job means to end. progress: from 0 to 1. eta_s: while it runs."""

    target_step: int | None = None
    progress: float | None = None
    eta_s: float | None = None


def progress(
    latest: Mapping[str, Any],
    *,
    last_step: int | None,
    configured: int | None,
    rate: float | None,
    state: str,
) -> Progress:
    """How far a run is. latest: its newest values. configured: the target of its config."""
    target = (_whole(latest[TARGET]) if TARGET in latest else None) or configured
    if not target or last_step is None:
        return Progress(target or None)
    done = last_step
    if not _COUNTED.isdisjoint(latest):  # hardly a job tells them
        told = (_whole(latest[name]) for name in DONE if name in latest)
        done = next((count for count in told if count is not None), last_step)
    ended = state == "finished" and done + 1 >= target  # steps are counted from 0
    share = 1.0 if ended else max(0.0, min(1.0, done / target))
    if state != "running" or not rate:
        return Progress(target, share)
    # A job that logs every tenth iteration counts rows, not iterations.
    pace = rate * (done / last_step) if last_step > 0 and done > 0 else rate
    return Progress(target, share, round(max(0.0, (target - done) / pace), 1))


def _whole(value: Any) -> int | None:  # noqa: ANN401 - any stored value
    usable = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    return int(value) if usable else None
