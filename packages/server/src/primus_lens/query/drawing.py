"""Series as curves: over steps, over time or along another metric; whole, thinned, as a band. Pure.

Comes after store/chunk_read; thins through thinning.
"""

import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from primus_lens.query import thinning
from primus_lens.store.chunk_read import Series, StoredSeries

Floats = NDArray[np.float64]


class View(msgspec.Struct, frozen=True):
    """How a reader wants to see curves.

    axis: what they are drawn over: "step", "time" or the name of a metric. most: thin each to about
    so many points. replaced: also what was overwritten. envelope: tell the extremes of each bucket.
    low, high: bounds on the values of the metric they are drawn over, both included.
    """

    axis: str = "step"
    most: int | None = None
    replaced: bool = False
    envelope: bool = False
    low: float | None = None
    high: float | None = None

    @property
    def metric(self) -> str | None:
        """The metric they are drawn over, if any."""
        return None if self.axis in {"step", "time"} else self.axis


class Envelope(msgspec.Struct, frozen=True):
    """The extremes of a thinned curve's buckets, as columns of equal length.

    start, end: the x of a bucket's first and last point. min, max: of its finite values, None
    without any. count: of its points.
    """

    start: list[float]
    end: list[float]
    min: list[float | None]
    max: list[float | None]
    count: list[int]


class Curve(msgspec.Struct, frozen=True, omit_defaults=True):
    """One series as columns of equal length. total: how many points there are, drawn or not.

    value: numbers, or "NaN", "Infinity", "-Infinity". time: Unix milliseconds. x: of the metric it
    is drawn over. replaced: whether these points were overwritten since; revision: how many values
    their steps had had by then.
    """

    metric: str
    data_source: str
    serial: int
    run_id: str
    total: int
    thinned: bool
    step: list[int]
    time: list[float]
    value: list[float | str]
    x: list[float] | None = None
    replaced: bool = False
    revision: int = 0
    envelope: Envelope | None = None
    workload_uid: str = ""


class _Horizontal(msgspec.Struct, frozen=True):
    """Where the points of a series are drawn, in this order; what series of a run may share.

    order: of the points as stored, None where that is it. starts: of the buckets, None to draw all.
    """

    steps: NDArray[np.int64]
    times: NDArray[np.int64]
    x: Floats | NDArray[np.int64]
    order: NDArray[np.intp] | None
    starts: NDArray[np.intp] | None


def drawn(found: StoredSeries, names: Collection[str], view: View) -> list[Curve]:
    """The series of these metrics, replaced ones behind the others of their kind.

    A series is drawn and let go before the next is unpacked: 50 of 100,000 points took 70 ms kept
    together, 44 so, because their memory is used again.
    """
    every = itertools.chain(found.unpacked(), found.unpacked_replaced())
    if view.metric is None:
        return list(_over_axis(every, view))
    return list(_along_metric(list(every), names, view))


def _over_axis(every: Iterable[Series], view: View) -> Iterator[Curve]:
    shared: dict[tuple[int, int], tuple[NDArray[np.int64], NDArray[np.int64], _Horizontal]] = {}
    for series in every:
        # Series of the same steps have the very same arrays; kept alive here, their ids are theirs.
        arrays = id(series.steps), id(series.times)
        if arrays not in shared:
            x = series.times if view.axis == "time" else series.steps
            ordered = view.axis == "step"  # the job's clock may have been set back
            horizontal = _horizontal(series.steps, series.times, x, view, ordered=ordered)
            shared[arrays] = series.steps, series.times, horizontal
        yield _curve(series, series.values, shared[arrays][-1], view)


def _along_metric(every: Sequence[Series], names: Collection[str], view: View) -> Iterator[Curve]:
    """A point stands where the other metric was at its step, and nowhere without one."""
    others = {
        (series.data_source, series.serial): series
        for series in every
        if series.metric == view.metric and not series.revision
    }
    for series in every:
        if series.metric not in names:
            continue
        x = _beside(series, others.get((series.data_source, series.serial)))
        there = np.isfinite(x)
        if view.low is not None:
            there &= x >= view.low
        if view.high is not None:
            there &= x <= view.high
        if there.any():
            steps, times = series.steps[there], series.times[there]
            horizontal = _horizontal(steps, times, x[there], view, ordered=False)
            yield _curve(series, series.values[there], horizontal, view)


def _beside(series: Series, other: Series | None) -> Floats:
    """The other metric's values at the steps of a series, NaN where there is none."""
    if series.beside is not None:
        return series.beside
    if other is None:
        return np.full(len(series.steps), np.nan)
    place = np.minimum(np.searchsorted(other.steps, series.steps), len(other.steps) - 1)
    return np.where(other.steps[place] == series.steps, other.values[place], np.nan)


def _horizontal(
    steps: NDArray[np.int64],
    times: NDArray[np.int64],
    x: Floats | NDArray[np.int64],
    view: View,
    *,
    ordered: bool,
) -> _Horizontal:
    order = None
    if not ordered and bool((x[1:] < x[:-1]).any()):
        order = np.argsort(x, kind="stable")
        steps, times, x = steps[order], times[order], x[order]
    starts = None if view.most is None else thinning.bucket_starts(x, most=view.most)
    return _Horizontal(steps, times, x, order, starts)


def _curve(series: Series, stored: Floats, at: _Horizontal, view: View) -> Curve:
    values = stored if at.order is None else stored[at.order]
    keep = thinning.kept_in(at.starts, values)
    return Curve(
        metric=series.metric,
        data_source=series.data_source,
        serial=series.serial,
        run_id=series.run_id,
        total=len(values),
        thinned=len(keep) < len(values),
        step=at.steps[keep].tolist(),
        time=at.times[keep].astype(np.float64).tolist(),
        value=spoken(values[keep]),
        x=None if view.metric is None else at.x[keep].tolist(),
        replaced=series.revision > 0,
        revision=series.revision,
        envelope=_envelope(at, values) if view.envelope else None,
    )


def _envelope(at: _Horizontal, values: Floats) -> Envelope | None:
    """The buckets' extremes, exact; None where nothing is thinned."""
    if at.starts is None:
        return None
    ends = np.append(at.starts[1:], len(values)) - 1
    finite = np.where(np.isfinite(values), values, np.nan)
    low, high = (pick.reduceat(finite, at.starts) for pick in (np.fmin, np.fmax))
    return Envelope(
        start=at.x[at.starts].astype(np.float64).tolist(),
        end=at.x[ends].astype(np.float64).tolist(),
        min=_or_none(low),
        max=_or_none(high),
        count=(ends - at.starts + 1).tolist(),
    )


def _or_none(values: Floats) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values.tolist()]


def spoken(values: Sequence[float] | Floats) -> list[float | str]:
    """Values as JSON can say them."""
    numbers = np.asarray(values, dtype=np.float64)
    plain: list[float | str] = numbers.tolist()
    for i in np.flatnonzero(~np.isfinite(numbers)).tolist():
        value = float(numbers[i])
        plain[i] = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return plain
