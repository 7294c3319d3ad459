"""Workloads and runs as they stand, for query/inventory."""

from typing import Any

import asyncpg
import msgspec

from primus_lens.store import statements

_SQL = statements.load("inventory.sql")


async def workloads(
    connection: asyncpg.Connection, *, sought: str, limit: int, offset: int
) -> list[dict[str, Any]]:
    """A page of workloads, the most recently heard first; `total` counts them all."""
    rows = await connection.fetch(_SQL["workloads"], sought, limit, offset)
    return [
        {**dict(row), "last_values": msgspec.json.decode(row["last_values"] or "{}")}
        for row in rows
    ]


async def runs(connection: asyncpg.Connection, workload_uid: str) -> list[dict[str, Any]]:
    """The runs of a workload with what they say of themselves."""
    rows = await connection.fetch(_SQL["runs"], workload_uid)
    return [
        {**dict(row), **{name: msgspec.json.decode(row[name]) for name in ("facts", "definitions")}}
        for row in rows
    ]


async def version(connection: asyncpg.Connection, workload_uid: str) -> str:
    """A text that changes whenever points of the workload are stored."""
    return str(await connection.fetchval(_SQL["version"], workload_uid) or "")
