"""A workload's metrics: which there are, their points as rows, their curves as columns.

Comes after routes/workload_metrics; reads through store/points_read, thins through thinning.
"""

import math
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Any, Literal

import asyncpg
import msgspec
import numpy as np

from primus_lens.model import naming
from primus_lens.query import thinning
from primus_lens.store import inventory, points_read
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
        found = await points_read.sources(connection, workload_uid)
    return [{"name": name, "count": count} for name, count in found]


async def available(
    database: Database, workload_uid: str, data_source: str
) -> list[dict[str, object]]:
    """The metrics of a workload with their sources and the number of their points."""
    async with database.connection() as connection:
        found = await points_read.available(connection, workload_uid, data_source)
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
    async with database.connection() as connection:
        found = await points_read.series(connection, span, names)
    return [_curve(record, axis, most) for record in found]


async def version(database: Database, workload_uid: str) -> str:
    """A text that changes whenever points of the workload are stored."""
    async with database.connection() as connection:
        return await inventory.version(connection, workload_uid)


def _curve(record: asyncpg.Record, axis: Axis, most: int | None) -> Curve:
    steps = np.asarray(record["steps"], dtype=np.int64)
    times = np.asarray(record["times"], dtype=np.float64)
    values = np.asarray(record["values"], dtype=np.float64)
    total = len(steps)
    if axis == "time":  # the job's clock may have been set back
        order = np.argsort(times, kind="stable")
        steps, times, values = steps[order], times[order], values[order]
    if most is not None:
        x = times if axis == "time" else steps.astype(np.float64)
        keep = thinning.kept(x, values, most=most)
        steps, times, values = steps[keep], times[keep], values[keep]
    return Curve(
        metric=naming.metric_name(record["key"]),
        data_source=record["data_source"],
        serial=record["serial"],
        run_id=record["run_id"],
        total=total,
        thinned=len(steps) < total,
        step=steps.tolist(),
        time=times.tolist(),
        value=_spoken(values),
    )


def _spoken(values: np.ndarray[Any, np.dtype[np.float64]]) -> list[float | str]:
    """Values as JSON can say them."""
    plain: list[float | str] = values.tolist()
    for i in np.flatnonzero(~np.isfinite(values)).tolist():
        value = float(values[i])
        plain[i] = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return plain
