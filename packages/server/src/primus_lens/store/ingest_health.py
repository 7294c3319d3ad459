"""How well a workload's points come, as far as the tables tell. For query/ingest_health."""

from typing import Any

import asyncpg

from primus_lens.store import statements

_SQL = statements.load("ingest_health.sql")


async def heard(connection: asyncpg.Connection, workload_uid: str) -> list[tuple[float, float]]:
    """When each run was last heard, the newest first, and what its clock said. Unix seconds."""
    rows = await connection.fetch(_SQL["heard"], workload_uid)
    return [(row["received_at"], row["last_at"]) for row in rows]


async def streams(connection: asyncpg.Connection, workload_uid: str) -> list[dict[str, Any]]:
    """The streams with stream, records, updated_at (Unix seconds)."""
    return [dict(row) for row in await connection.fetch(_SQL["streams_of_workload"], workload_uid)]


async def gaps(connection: asyncpg.Connection, workload_uid: str) -> list[dict[str, Any]]:
    """What was lost for good: run_id, first, last, points, reason, at (Unix seconds)."""
    return [dict(row) for row in await connection.fetch(_SQL["gaps_of_workload"], workload_uid)]


async def parked(connection: asyncpg.Connection, workload_uid: str) -> int:
    """How many reports wait for one of its pods."""
    return int(await connection.fetchval(_SQL["parked_of_workload"], workload_uid))


async def note_stream(
    connection: asyncpg.Connection, *, workload_uid: str, serial: int, stream: str
) -> None:
    """Remember which stream brings a run's points."""
    await connection.execute(_SQL["note_stream"], workload_uid, serial, stream)
