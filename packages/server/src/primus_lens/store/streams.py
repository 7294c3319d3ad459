"""Which records of each stream are stored, remembered in the transaction that stores them."""

from collections.abc import Sequence

import asyncpg

from primus_lens.model.points import RecordRange
from primus_lens.store import statements

_SQL = statements.load("streams.sql")


async def lock(
    connection: asyncpg.Connection, streams: Sequence[str], *, now: float
) -> dict[str, list[tuple[int, int]]]:
    """The known records of each stream as inclusive ranges, locked until the transaction ends."""
    await connection.execute(_SQL["open_streams"], streams, now)
    rows = await connection.fetch(_SQL["lock_streams"], streams)
    return {
        row["stream"]: [(part.lower, part.upper - 1) for part in row["accepted"]] for row in rows
    }


async def mark(
    connection: asyncpg.Connection, records: Sequence[RecordRange], *, now: float
) -> None:
    """Remember records as stored."""
    await connection.execute(
        _SQL["mark_records"],
        [each.stream for each in records],
        [each.first for each in records],
        [each.last for each in records],
        now,
    )
