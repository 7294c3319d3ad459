"""A workload's metrics: which there are, their points as rows, their curves as columns.

Comes after routes/workload_metrics; reads through store/chunk_read and points_read,
thins through thinning.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from primus_lens.model import naming
from primus_lens.query import cursors, thinning
from primus_lens.store import chunk_read, inventory, points_read
from primus_lens.store.chunk_read import Series, StoredSeries
from primus_lens.store.database import Database
from primus_lens.store.points_read import Span

Axis = Literal["step", "time"]
_LONGEST_FLOAT = 24  # characters of a float64's shortest decimal form


class PointRow(msgspec.Struct, frozen=True):
    """One point in the specification's shape. value: JSON as stored, so nothing is rounded.

    timestamp: Unix milliseconds of the point's own time.
    """

    metric_name: str
    value: msgspec.Raw
    timestamp: int
    iteration: int
    data_source: str


class Curve(msgspec.Struct, frozen=True):
    """One series as columns of equal length. total: how many points there are, drawn or not.

    value: numbers, or "NaN", "Infinity", "-Infinity". time: Unix milliseconds.
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


def asked_names(metrics: str, repeated: Sequence[str]) -> list[str] | None:
    """The metrics a reader asks for, or None for all.

    metrics: "a,b", "{a,b}" as Grafana interpolates several, "all" or "". Since names may hold
    commas, the text is taken as one name, too. repeated: names given one by one.
    """
    if repeated:
        return list(repeated)
    if metrics in {"", "all"}:
        return None
    inner = metrics[1:-1] if metrics.startswith("{") and metrics.endswith("}") else metrics
    return list(dict.fromkeys([metrics, inner, *(part.strip() for part in inner.split(","))]))


async def sources(database: Database, workload_uid: str) -> list[dict[str, object]]:
    """The sources of a workload with the number of their steps."""
    async with database.connection() as connection:
        found = await chunk_read.sources(connection, workload_uid)
    return [{"name": name, "count": count} for name, count in found]


async def available(
    database: Database, workload_uid: str, data_source: str
) -> list[dict[str, object]]:
    """The metrics of a workload with their sources and the number of their points."""
    async with database.connection() as connection:
        found = await chunk_read.available(connection, workload_uid, data_source)
    return [
        {"name": name, "data_source": from_sources, "count": count}
        for name, from_sources, count in found
    ]


async def rows(
    database: Database, span: Span, names: Sequence[str] | None
) -> AsyncIterator[PointRow]:
    """The points of a span, in order of time over all metrics."""
    async with database.connection() as connection:
        async for row in points_read.points(connection, span, names):
            yield PointRow(
                naming.metric_name(row["key"]),
                msgspec.Raw(_told(row["value"])),
                row["timestamp"],
                row["iteration"],
                row["data_source"],
            )


def _told(stored: str) -> str:
    """A stored value as JSON: numeric's 309 digits become the float64 they came from."""
    if stored == '"-0.0"':
        return "-0.0"
    if len(stored) <= _LONGEST_FLOAT or stored.startswith('"'):
        return stored
    short = repr(float(stored))
    # An integer past 2^53 may differ from its nearest float64; then all its digits count.
    return short if Decimal(short) == Decimal(stored) else stored


async def columns(
    database: Database, span: Span, names: Sequence[str], *, axis: Axis, most: int | None
) -> list[Curve]:
    """The asked metrics as curves, each thinned to about `most` points when given."""
    return (await columns_and_place(database, span, names, axis=axis, most=most))[0]


async def columns_and_place(
    database: Database, span: Span, names: Sequence[str], *, axis: Axis, most: int | None
) -> tuple[list[Curve], str]:
    """The same, and the cursor from which a live reader goes on."""
    async with database.connection() as connection:
        found = await chunk_read.series(connection, span, names)
    # A million points take some 20 ms; other requests must not wait for them.
    return await asyncio.to_thread(_drawn, found, axis, most), cursors.of(found.seen)


async def version(database: Database, workload_uid: str) -> str:
    """A text that changes whenever points of the workload are stored."""
    async with database.connection() as connection:
        return await inventory.version(connection, workload_uid)


class _Horizontal(msgspec.Struct, frozen=True):
    """What the series of a run share: their steps and times in the order they are drawn.

    order: of the points as stored, None where that is it. starts: of the buckets, None to draw all.
    """

    steps: NDArray[np.int64]
    times: NDArray[np.float64]
    order: NDArray[np.intp] | None
    starts: NDArray[np.intp] | None


def _drawn(found: StoredSeries, axis: Axis, most: int | None) -> list[Curve]:
    curves: list[Curve] = []
    shared: dict[tuple[int, int], tuple[Series, _Horizontal]] = {}
    for series in found.unpacked():
        # Series of the same steps have the very same arrays; kept alive here, their ids are theirs.
        arrays = id(series.steps), id(series.times)
        if arrays not in shared:
            shared[arrays] = series, _horizontal(series, axis, most)
        curves.append(_curve(series, shared[arrays][1]))
    return curves


def _horizontal(series: Series, axis: Axis, most: int | None) -> _Horizontal:
    steps, times, order = series.steps, series.times.astype(np.float64), None
    if axis == "time" and bool((np.diff(times) < 0).any()):  # the job's clock was set back
        order = np.argsort(times, kind="stable")
        steps, times = steps[order], times[order]
    x = times if axis == "time" else steps.astype(np.float64)
    starts = None if most is None else thinning.bucket_starts(x, most=most)
    return _Horizontal(steps, times, order, starts)


def _curve(series: Series, x: _Horizontal) -> Curve:
    values = series.values if x.order is None else series.values[x.order]
    keep = thinning.kept_in(x.starts, values)
    return Curve(
        metric=series.metric,
        data_source=series.data_source,
        serial=series.serial,
        run_id=series.run_id,
        total=len(values),
        thinned=len(keep) < len(values),
        step=x.steps[keep].tolist(),
        time=x.times[keep].tolist(),
        value=spoken(values[keep]),
    )


def spoken(values: Sequence[float] | NDArray[np.float64]) -> list[float | str]:
    """Values as JSON can say them."""
    numbers = np.asarray(values, dtype=np.float64)
    plain: list[float | str] = numbers.tolist()
    for i in np.flatnonzero(~np.isfinite(numbers)).tolist():
        value = float(numbers[i])
        plain[i] = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return plain
