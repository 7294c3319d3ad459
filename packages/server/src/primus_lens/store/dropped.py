"""Ranges that live by their chunks alone: their rows go, and come back.

What is given up with the rows is their history, and what is no number. A late step brings all rows
of its range back before it counts as stored, so merging, compaction and the reading of what is not
built know nothing of this. Retention calls drop, points_write restore; dropped_read reads.
"""

import asyncio
import datetime as dt
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import msgspec
import numpy as np

from primus_lens.store import chunks, statements

_SQL = statements.load("retention.sql")
_CHUNKS = statements.load("chunks.sql")
BUSY = "busy"
"""Why rows stay for now: somebody else is at work on them"""

_LARGEST_WHOLE = 2**53  # up to which float64 holds every integer


async def drop(connection: asyncpg.Connection, workload_uid: str, axis_id: int) -> str:
    """Let the rows of a range go, inside a transaction.

    Returns "" when they went, else why not: BUSY for another time, or what the chunks tell
    differently, which is a defect, and keeps the rows.
    """
    span = await connection.fetchrow(_CHUNKS["range"], workload_uid, axis_id)
    if span is None:
        return BUSY
    run = workload_uid, span["data_source"], span["serial"]
    if not await connection.fetchval(_CHUNKS["try_lock_run"], *run):
        return BUSY
    ends = span["first_step"], span["last_step"]
    # Rows before run_last, as whoever stores takes them.
    held = await connection.fetch(_SQL["hold_rows"], *run, *ends, 2**31 - 1)
    await connection.fetchval(_CHUNKS["lock_run"], *run)
    whole = await connection.fetchrow(_SQL["whole_range"], workload_uid, axis_id)
    if whole is None or not whole["built"] or whole["rows_dropped"] or whole["keep_rows"]:
        return BUSY
    if len(held) != whole["steps_stored"] or ends != (whole["first_step"], whole["last_step"]):
        return BUSY
    packed = await connection.fetch(_SQL["chunks_of_range"], workload_uid, axis_id)
    rows = [chunks.StoredStep(*row) for row in held]
    told = await asyncio.to_thread(differences, rows, whole, packed)
    if told:
        return "; ".join(told[:3])
    earliest = await asyncio.to_thread(_earliest, whole, packed)
    await connection.execute(_SQL["drop_rows"], *run, *ends)
    await connection.execute(_SQL["note_dropped"], workload_uid, axis_id, earliest)
    return ""


def differences(
    rows: Sequence[chunks.StoredStep],
    axis: Mapping[str, Any],
    packed: Sequence[Mapping[str, Any]],
) -> list[str]:
    """Where a range's chunks tell other points than its rows, in words; 1 us a point.

    axis: steps and times, packed. packed: key, numbers, positions, times of each chunk.
    """
    expected, columns = chunks.columns(rows)
    try:
        found = [
            chunks.Column(
                row["key"],
                chunks.unpack(row["numbers"]),
                None if row["positions"] is None else chunks.unpack(row["positions"]),
                None if row["times"] is None else chunks.unpack(row["times"]),
            )
            for row in packed
        ]
        steps, times = chunks.unpack(axis["steps"]), chunks.unpack(axis["times"])
    except RuntimeError as error:
        return [f"a chunk cannot be unpacked: {error}"]
    if not (np.array_equal(steps, expected.steps) and np.array_equal(times, expected.times)):
        return [f"the axis has {len(steps)} steps, the rows {len(expected.steps)}, or other times"]
    by_key = {column.key: column for column in found}
    told = [f"{key} is in no row" for key in by_key.keys() - {each.key for each in columns}]
    for column in columns:
        if column.key not in by_key:
            told.append(f"{column.key} has no chunk")
        elif not _same(column, by_key[column.key]):
            told.append(f"{column.key} has other points")
    return sorted(told)


def _same(one: chunks.Column, other: chunks.Column) -> bool:
    """Whether two columns are the same points, bit for bit."""
    if one.numbers.tobytes() != other.numbers.tobytes():
        return False
    pairs = (one.positions, other.positions), (one.times, other.times)
    return all(a is b if a is None or b is None else np.array_equal(a, b) for a, b in pairs)


def _earliest(axis: Mapping[str, Any], packed: Sequence[Mapping[str, Any]]) -> int:
    own = [chunks.unpack(row["times"]).min() for row in packed if row["times"] is not None]
    return int(min([chunks.unpack(axis["times"]).min(), *own]))


async def restore(connection: asyncpg.Connection, workload_uid: str, axis_id: int) -> None:
    """Bring the rows of a range back, under what has been stored there since."""
    whole = await connection.fetchrow(_SQL["whole_range"], workload_uid, axis_id)
    packed = await connection.fetch(_SQL["chunks_of_range"], workload_uid, axis_id)
    run = workload_uid, whole["data_source"], whole["serial"]
    run_id = await connection.fetchval(_SQL["run_of_serial"], workload_uid, whole["serial"])
    source = {"source": whole["data_source"], "run_id": run_id}
    columns = await asyncio.to_thread(_rows, whole, packed, source)
    await connection.execute(_SQL["restore_rows"], *run, *columns)


def _rows(
    axis: Mapping[str, Any], packed: Sequence[Mapping[str, Any]], source: Mapping[str, str]
) -> tuple[list[int], list[str], list[float], list[str | None]]:
    """A range's chunks as the columns of restore_rows; 1 us a point."""
    steps = chunks.unpack(axis["steps"]).tolist()
    times = chunks.unpack(axis["times"]).tolist()
    documents: list[dict[str, Any]] = [
        {**source, "step": step, "created_at": _rfc3339(at)}
        for step, at in zip(steps, times, strict=True)
    ]
    own: dict[int, dict[str, float]] = defaultdict(dict)
    for row in packed:
        key, places, numbers = row["key"], places_of(row, len(steps)), chunks.unpack(row["numbers"])
        own_times = None if row["times"] is None else chunks.unpack(row["times"]).tolist()
        for i, (place, number) in enumerate(zip(places, numbers.tolist(), strict=True)):
            documents[place][key] = msgspec.Raw(told(number).encode())
            if own_times is not None and own_times[i] != times[place]:
                own[place][key] = own_times[i] / 1000
    return (
        steps,
        [msgspec.json.encode(document).decode() for document in documents],
        [at / 1000 for at in times],
        [
            msgspec.json.encode(own[place]).decode() if place in own else None
            for place in range(len(steps))
        ],
    )


def places_of(row: Mapping[str, Any], steps: int) -> list[int]:
    """Which steps of the axis a chunk has points at."""
    if row["positions"] is None:
        return list(range(steps))
    places: list[int] = chunks.unpack(row["positions"]).tolist()
    return places


def told(number: float) -> str:
    """A float64 as JSON, as stored: whole numbers without a point, what JSON lacks as text."""
    if not math.isfinite(number):
        return '"NaN"' if math.isnan(number) else '"Infinity"' if number > 0 else '"-Infinity"'
    if number == 0 and math.copysign(1, number) < 0:
        return '"-0.0"'
    if number.is_integer() and abs(number) < _LARGEST_WHOLE:
        return str(int(number))
    return repr(number)


def _rfc3339(at_ms: int) -> str:
    return dt.datetime.fromtimestamp(at_ms // 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
