"""Which records of each stream are stored, remembered in the transaction that stores them."""

from collections.abc import Sequence

import asyncpg
import msgspec

from primus_lens.model.points import RecordRange
from primus_lens.store import statements

_SQL = statements.load("streams.sql")


class Stream(msgspec.Struct):
    """What is known of a stream. accepted: records, as inclusive ranges.

    forgotten_up_to: Unix seconds; it may be a stream that was forgotten then. None: it is not.
    """

    accepted: list[tuple[int, int]]
    forgotten_up_to: float | None


async def lock(
    connection: asyncpg.Connection, streams: Sequence[str], *, now: float
) -> dict[str, Stream]:
    """What is known of each stream, locked until the transaction ends."""
    await connection.execute(_SQL["open_streams"], streams, now)
    rows = await connection.fetch(_SQL["lock_streams"], streams)
    return {
        row["stream"]: Stream(
            [(part.lower, part.upper - 1) for part in row["accepted"]], row["forgotten_up_to"]
        )
        for row in rows
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
