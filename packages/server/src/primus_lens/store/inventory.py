"""Workloads and runs as they stand, for query/fleet and query/inventory."""

from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec

from primus_lens.store import statements

_SQL = statements.load("inventory.sql")
_OF_RUNS = ("facts", "definitions")


async def fleet(
    connection: asyncpg.Connection, only: Sequence[str] | None = None
) -> list[asyncpg.Record]:
    """Workloads by the run that stands for each, in no order. only: of these, None for all.

    heard_at: Unix seconds. shown: JSON text; the rings are as store/pulse packs them.
    """
    async with connection.transaction(readonly=True):
        await connection.execute(_SQL["plan_anew"])
        rows: list[asyncpg.Record] = await connection.fetch(_SQL["fleet"], only)
    return rows


async def matching(
    connection: asyncpg.Connection, texts: Sequence[str], pattern: str, *, within_ms: int
) -> list[int]:
    """Which of some texts a PostgreSQL regular expression is found in, by their places from 0.

    Raises DataRefused for what is no pattern, TookTooLong when it takes longer than within_ms.
    """
    async with connection.transaction(readonly=True):
        await connection.execute(_SQL["match_within"], str(within_ms))
        rows = await connection.fetch(_SQL["matching"], texts, pattern)
    return [row["place"] - 1 for row in rows]


async def runs(connection: asyncpg.Connection, workload_uid: str) -> list[dict[str, Any]]:
    """The runs of a workload with what they say of themselves."""
    rows = await connection.fetch(_SQL["runs"], workload_uid)
    return [
        {**dict(row), **{name: msgspec.json.decode(row[name]) for name in _OF_RUNS}} for row in rows
    ]


async def version(connection: asyncpg.Connection, workload_uid: str) -> str:
    """A text that changes whenever points of the workload are stored."""
    return str(await connection.fetchval(_SQL["version"], workload_uid) or "")
