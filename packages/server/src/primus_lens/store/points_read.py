"""Points out of training_performance, for query/curves and query/progress."""

from collections.abc import AsyncIterator, Sequence

import asyncpg
import msgspec

from primus_lens.model import naming
from primus_lens.store import statements

_SQL = statements.load("points_read.sql")
_NOT_METRICS = sorted(naming.METADATA_FIELDS)
_PREFETCH = 5_000  # rows of a cursor: about a megabyte


class Span(msgspec.Struct, frozen=True):
    """Which points are asked for.

    data_source: "" means every source. start_ms, end_ms: Unix milliseconds. from_step, to_step:
    for series only. Every bound is included and may be left out.
    """

    workload_uid: str
    data_source: str = ""
    start_ms: int | None = None
    end_ms: int | None = None
    from_step: int | None = None
    to_step: int | None = None


async def sources(connection: asyncpg.Connection, workload_uid: str) -> list[tuple[str, int]]:
    """Every source with its number of steps."""
    rows = await connection.fetch(_SQL["sources"], workload_uid)
    return [(row["data_source"], row["count"]) for row in rows]


async def available(
    connection: asyncpg.Connection, workload_uid: str, data_source: str = ""
) -> list[tuple[str, list[str], int]]:
    """Every metric with its sources and the number of its points, by name."""
    rows = await connection.fetch(_SQL["available"], workload_uid, data_source, _NOT_METRICS)
    found = [(naming.metric_name(r["key"]), r["data_sources"], r["count"]) for r in rows]
    return sorted(found)


async def points(
    connection: asyncpg.Connection, span: Span, names: Sequence[str] | None
) -> AsyncIterator[asyncpg.Record]:
    """The points of a span in order of time, in bounded memory, however many there are.

    names: metrics, or None for all. Yields key, value (JSON text), iteration, data_source,
    timestamp (ms).
    """
    stored = None if names is None else [naming.stored_name(name) for name in names]
    async with connection.transaction(readonly=True):
        async for row in connection.cursor(
            _SQL["points"],
            span.workload_uid,
            span.data_source,
            stored,
            span.start_ms,
            span.end_ms,
            _NOT_METRICS,
            prefetch=_PREFETCH,
        ):
            yield row


async def iterations(connection: asyncpg.Connection, span: Span) -> AsyncIterator[asyncpg.Record]:
    """The steps of a span in order of time: iteration, data_source, target_iteration, timestamp."""
    async with connection.transaction(readonly=True):
        async for row in connection.cursor(
            _SQL["iterations"],
            span.workload_uid,
            span.data_source,
            span.start_ms,
            span.end_ms,
            prefetch=_PREFETCH,
        ):
            yield row


async def series(
    connection: asyncpg.Connection, span: Span, names: Sequence[str]
) -> list[asyncpg.Record]:
    """The asked metrics as columns, one record a series.

    Returns data_source, serial, run_id, key, steps, times (ms), values.
    """
    stored = [naming.stored_name(name) for name in names]
    rows: list[asyncpg.Record] = await connection.fetch(
        _SQL["series"],
        span.workload_uid,
        span.data_source,
        stored,
        span.start_ms,
        span.end_ms,
        span.from_step,
        span.to_step,
    )
    return rows
