"""What was stored since a reader last looked, exactly: for query/live.

points_write gives every transaction of a run and source the next version and notes what it touched
(run_change). The run's row is locked from there to the commit, so versions are committed in order:
a reader that has seen version 7 has seen all up to 7.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import msgspec

from primus_lens.model import naming
from primus_lens.store import points_read, statements
from primus_lens.store.points_read import Part, Span

_SQL = statements.load("changes.sql")
_TOUCHED = msgspec.json.Decoder(list[tuple[list[tuple[int, int]], list[str]]])
_VERSIONS_AT_ONCE = 64  # of a run: bounds what one look reads; the rest comes with the next

KEPT_S = 600.0  # a reader that was away for longer reads anew

RunKey = tuple[int, str]
"""(serial, data_source)"""

Seen = Mapping[RunKey, int]
"""Up to which version a reader has seen each run"""


class NewPoints(msgspec.Struct, frozen=True):
    """New points of one series, steps ascending. times: Unix milliseconds."""

    metric: str
    data_source: str
    serial: int
    run_id: str
    steps: list[int]
    times: list[int]
    values: list[float]


class News(msgspec.Struct, frozen=True):
    """What is new. seen: to ask with next time. more: ask at once, there is more.

    lost: something that was stored since can no longer be told; read anew. others: metrics that had
    news but were not asked for.
    """

    seen: dict[RunKey, int]
    points: list[NewPoints]
    more: bool = False
    lost: bool = False
    others: frozenset[str] = frozenset()


async def seen_now(connection: asyncpg.Connection, workload_uid: str) -> dict[RunKey, int]:
    """What a reader has seen who has just read everything."""
    rows = await connection.fetch(_SQL["versions"], workload_uid)
    return {(row["serial"], row["data_source"]): row["version"] for row in rows}


async def since(
    connection: asyncpg.Connection, workload_uid: str, seen: Seen, names: Sequence[str]
) -> News:
    """What was stored since, of these metrics or, without any, of all."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        rows = await connection.fetch(_SQL["versions"], workload_uid)
        now = {(row["serial"], row["data_source"]): row["version"] for row in rows}
        moved = [key for key, version in now.items() if version != seen.get(key, 0)]
        if not moved:
            return News(dict(now), [])
        logged = await connection.fetch(
            _SQL["touched"],
            workload_uid,
            [serial for serial, _ in moved],
            [source for _, source in moved],
            [seen.get(key, 0) for key in moved],
            _VERSIONS_AT_ONCE,
        )
        touched: dict[RunKey, list[asyncpg.Record]] = defaultdict(list)
        for row in logged:
            touched[row["serial"], row["data_source"]].append(row)
        told = {key: seen.get(key, 0) + len(touched[key]) for key in moved}
        for key in moved:
            complete = told[key] == (touched[key][-1]["version"] if touched[key] else 0)
            if not complete or (told[key] < now[key] and len(touched[key]) < _VERSIONS_AT_ONCE):
                return News(dict(now), [], lost=True)
        run_ids = {row["serial"]: row["run_id"] for row in rows}
        found = [
            await _points(connection, workload_uid, key, _asked(touched[key], names))
            for key in moved
        ]
    points = [
        NewPoints(run_id=run_ids[serial], serial=serial, data_source=source, **columns)
        for (serial, source), of_run in zip(moved, found, strict=True)
        for columns in of_run
    ]
    more = any(told[key] < now[key] for key in moved)
    return News({**now, **told}, points, more=more, others=_others(logged, names))


async def row_versions(connection: asyncpg.Connection, workload_uid: str) -> str:
    """A text that changes when a run of the workload says something of itself, or begins."""
    return str(await connection.fetchval(_SQL["row_versions"], workload_uid) or "")


async def forget(connection: asyncpg.Connection, *, before: float) -> None:
    """Drop what was noted before a moment, in Unix seconds of the server's clock."""
    await connection.execute(_SQL["forget"], before)


def _others(rows: Sequence[asyncpg.Record], names: Sequence[str]) -> frozenset[str]:
    """The metrics touched beside those asked for; none where all are asked for."""
    if not names:
        return frozenset()
    touched = (parts for row in rows for _, parts in _TOUCHED.decode(row["touched"]))
    return frozenset(name for some in touched for name in some) - frozenset(names)


def _asked(rows: Sequence[asyncpg.Record], names: Sequence[str]) -> dict[frozenset[int], list[str]]:
    """Metrics by the set of steps at which they were touched, each once however often."""
    steps_of: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        for ranges, touched in _TOUCHED.decode(row["touched"]):
            steps = {step for first, last in ranges for step in range(first, last + 1)}
            for name in touched:
                if not names or name in names:
                    steps_of[name] |= steps
    named: dict[frozenset[int], list[str]] = defaultdict(list)
    for name, steps in steps_of.items():
        named[frozenset(steps)].append(name)
    return named


async def _points(
    connection: asyncpg.Connection,
    workload_uid: str,
    key: RunKey,
    asked: Mapping[frozenset[int], Sequence[str]],
) -> list[dict[str, Any]]:
    """The asked points of a run as columns by metric."""
    serial, source = key
    columns: dict[str, dict[str, Any]] = {}
    for steps, names in asked.items():
        parts = [
            Part(source, serial, first, last) for first, last in points_read.ranges(sorted(steps))
        ]
        keys = [naming.stored_name(name) for name in names]
        rows = await points_read.series(connection, Span(workload_uid), keys, parts)
        for row in sorted(rows, key=lambda row: row["first_step"]):
            metric = naming.metric_name(row["key"])
            into = columns.setdefault(
                metric, {"metric": metric, "steps": [], "times": [], "values": []}
            )
            for name in ("steps", "times", "values"):
                into[name] += row[name]
    return [columns[metric] for metric in sorted(columns)]
