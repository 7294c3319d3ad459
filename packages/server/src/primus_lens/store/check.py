"""Whether chunks tell what rows tell, and how much is stored: for `primus-lens db`.

Beside a running server: each range is looked at in one snapshot, in a transaction of its own.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from primus_lens.store import chunks, dropped, statements
from primus_lens.store.compaction import Compaction, Sizes
from primus_lens.store.database import Database

_SQL = statements.load("check.sql")
_CHUNKS = statements.load("chunks.sql")
_RETENTION = statements.load("retention.sql")
_PAGE = 500


class Problem(msgspec.Struct, frozen=True):
    """Something that is not as it should be. axis_id: the range it is in, 0 for none."""

    workload_uid: str
    place: str
    what: str
    axis_id: int = 0


class Checked(msgspec.Struct):
    """What a check looked at, and what it found."""

    ranges: int = 0
    waiting: int = 0
    problems: list[Problem] = []


async def check(database: Database, workload_uid: str = "") -> Checked:
    """Compare the chunks of a workload ("" for all) with its rows, and look for what is lost."""
    found = Checked(problems=[])
    async for row in _ranges(database, workload_uid):
        found.ranges += 1
        told = await _look_at(database, row)
        if told is None:
            found.waiting += 1
            continue
        place = _place(row, f"steps {row['first_step']} to {row['last_step']}")
        found.problems += [
            Problem(row["workload_uid"], place, what, row["axis_id"]) for what in told
        ]
    for row in await database.fetch(_SQL["holes"], workload_uid):
        what = f"a range begins at step {row['first_step']}, not at {row['expected']}"
        found.problems.append(Problem(row["workload_uid"], _place(row, "layout"), what))
    for row in await database.fetch(_SQL["lost_chunks"], workload_uid):
        what = f"{row['chunks']} chunks belong to no range"
        found.problems.append(Problem(row["workload_uid"], "chunks", what))
    for row in await database.fetch(_SQL["lost_runs"], workload_uid):
        found.problems.append(
            Problem(row["workload_uid"], _place(row, "newest values"), "the run is not there")
        )
    return found


async def pack(database: Database, *, now: float) -> int:
    """Pack everything that has settled by now. Returns how many ranges were built."""
    compaction = Compaction(database, Sizes(quiet_s=0))
    built = 0
    while more := await compaction.sweep(now=now):
        built += more
    return built


async def mend(database: Database, found: Checked, *, now: float) -> int:
    """Make anew what a check found damaged, from the rows. Returns how many ranges were built."""
    whole: set[str] = set()
    for problem in found.problems:
        if problem.axis_id:
            await database.fetch(_SQL["mark_damaged"], problem.workload_uid, problem.axis_id)
        else:
            whole.add(problem.workload_uid)
    built = 0
    for uid in sorted(whole):
        built += await Compaction(database).rebuild(uid, now=now)
        await database.fetch(_SQL["delete_lost_chunks"], uid)
    return built + await pack(database, now=now)


async def rebuild_all(database: Database, *, now: float) -> int:
    """Make all chunks anew that have rows. Returns how many ranges were built."""
    built = 0
    for row in await database.fetch(_SQL["workloads_with_runs"]):
        built += await Compaction(database).rebuild(row["workload_uid"], now=now)
    return built


async def is_empty(database: Database) -> bool:
    """Whether there is no table yet."""
    [row] = await database.fetch(_SQL["is_empty"])
    return bool(row[0])


async def statistics(database: Database) -> dict[str, Any]:
    """How much is stored and what it takes: tables with bytes, amounts, bytes a point."""
    tables = [dict(row) for row in await database.fetch(_SQL["table_sizes"])]
    [row] = await database.fetch(_SQL["amounts"])
    amounts = dict(row)
    size = {each["name"]: each["table_bytes"] + each["index_bytes"] for each in tables}
    packed = sum(size[name] for name in ("metrics_storage", "chunk_axis", "series"))
    return {
        "tables": tables,
        **amounts,
        "bytes": sum(size.values()),
        "bytes_a_point_chunks": _ratio(packed, amounts["points_packed"]),
        "bytes_a_point_rows": _ratio(
            size["training_performance"], amounts["points_packed_with_rows"]
        ),
    }


def _ratio(size_bytes: int, points: int) -> float | None:
    return round(size_bytes / points, 2) if points else None


async def _ranges(database: Database, workload_uid: str) -> AsyncIterator[Any]:
    after: tuple[str, str, int, int] = ("", "", -1, -1)
    while page := await database.fetch(_SQL["ranges_after"], workload_uid, *after, _PAGE):
        for row in page:
            yield row
            after = row["workload_uid"], row["data_source"], row["serial"], row["first_step"]


def _place(row: Any, where: str) -> str:  # noqa: ANN401 - an asyncpg.Record
    return f"{row['data_source']}, run {row['serial']}, {where}"


async def _look_at(database: Database, row: Any) -> list[str] | None:  # noqa: ANN401 - a Record
    """What is wrong with a range; None while it waits to be built."""
    uid, axis_id = row["workload_uid"], row["axis_id"]
    async with (
        database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        axis = await connection.fetchrow(_SQL["range_as_it_is"], uid, axis_id)
        if axis is None or not axis["built"]:
            return None
        packed = await connection.fetch(_RETENTION["chunks_of_range"], uid, axis_id)
        if axis["rows_dropped"]:
            return await asyncio.to_thread(_unreadable, axis, packed)
        run = uid, row["data_source"], row["serial"]
        ends = row["first_step"], row["last_step"]
        records = await connection.fetch(_CHUNKS["rows_of_range"], *run, *ends, 2**31 - 1)
    rows = [chunks.StoredStep(*record) for record in records]
    told = await asyncio.to_thread(dropped.differences, rows, axis, packed)
    if len(rows) != axis["steps_stored"]:
        told.insert(0, f"{len(rows)} rows, but {axis['steps_stored']} steps are counted")
    told += [] if told else _miscounted(packed)
    return told


def _miscounted(packed: Any) -> list[str]:  # noqa: ANN401 - Records
    return [
        f"{row['key']} counts {row['n']} points and holds {held}"
        for row in packed
        if (held := len(chunks.unpack(row["numbers"]))) != row["n"]
    ]


def _unreadable(axis: Any, packed: Any) -> list[str]:  # noqa: ANN401 - Records
    """What is wrong with a range that has no rows to compare with."""
    try:
        steps, times = chunks.unpack(axis["steps"]), chunks.unpack(axis["times"])
        if len(steps) != axis["steps_stored"] or len(times) != len(steps):
            return [f"the axis holds {len(steps)} steps, but {axis['steps_stored']} are counted"]
        return _miscounted(packed)
    except RuntimeError as error:
        return [f"a chunk cannot be unpacked: {error}"]
