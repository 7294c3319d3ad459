"""Points out of training_performance.

In order of time for query/curves and query/progress; for chunk_read, the parts of a workload that
no chunk holds.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

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


class Part(msgspec.Struct, frozen=True):
    """Some steps of one source of one run, both ends included."""

    data_source: str
    serial: int
    first_step: int
    last_step: int


def ranges(steps: Sequence[int]) -> list[tuple[int, int]]:
    """Distinct ascending steps as ranges without a hole, both ends included."""
    if steps[-1] - steps[0] == len(steps) - 1:
        return [(steps[0], steps[-1])]
    found: list[tuple[int, int]] = []
    first = last = steps[0]
    for step in steps[1:]:
        if step != last + 1:
            found.append((first, last))
            first = step
        last = step
    return [*found, (first, last)]


async def sources(
    connection: asyncpg.Connection, workload_uid: str, parts: Sequence[Part]
) -> list[asyncpg.Record]:
    """How many steps some parts of a workload have. Returns data_source, count."""
    rows: list[asyncpg.Record] = await connection.fetch(
        _SQL["sources"], workload_uid, *_columns(parts)
    )
    return rows


async def available(
    connection: asyncpg.Connection, workload_uid: str, parts: Sequence[Part]
) -> list[asyncpg.Record]:
    """How many points each metric has in some parts. Returns key, data_source, count."""
    rows: list[asyncpg.Record] = await connection.fetch(
        _SQL["available"], workload_uid, *_columns(parts), _NOT_METRICS
    )
    return rows


def _columns(parts: Sequence[Part]) -> tuple[list[Any], ...]:
    return (
        [part.data_source for part in parts],
        [part.serial for part in parts],
        [part.first_step for part in parts],
        [part.last_step for part in parts],
    )


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
    connection: asyncpg.Connection, span: Span, keys: Sequence[str], parts: Sequence[Part]
) -> list[asyncpg.Record]:
    """The asked series as columns, one record a series and part. keys: stored names.

    Returns data_source, serial, first_step (the part's), key, steps, times (ms), values.
    """
    rows: list[asyncpg.Record] = await connection.fetch(
        _SQL["series"],
        span.workload_uid,
        *_columns(parts),
        keys,
        span.start_ms,
        span.end_ms,
    )
    return rows
