"""Points out of training_performance.

In order of time for query/curves and query/progress; for chunk_read, the parts of a workload that
no chunk holds.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

import asyncpg
import msgspec

from primus_lens.model import naming
from primus_lens.store import dropped_read, statements
from primus_lens.store.dropped_read import Told

_SQL = statements.load("points_read.sql")
_NOT_METRICS = sorted(naming.METADATA_FIELDS)
LAST_STEP = 2**63 - 1
_FEW_KEYS = 16  # up to which looking up each is quicker than unpacking a document whole
_AT_ONCE = 1_000  # rows told together: 120 kB of JSON, 1 ms to make it


class Span(msgspec.Struct, frozen=True):
    """Which points are asked for.

    data_source: "" means every source. start_ms, end_ms: Unix milliseconds. from_step, to_step,
    runs: for series only. Every bound is included and may be left out. runs: by serial or run_id,
    none means all.
    """

    workload_uid: str
    data_source: str = ""
    start_ms: int | None = None
    end_ms: int | None = None
    from_step: int | None = None
    to_step: int | None = None
    runs: tuple[str, ...] = ()


Place = tuple[int, int, int, str]
"""Where a point stands among all of a workload: timestamp (ms), step, serial, stored name"""


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


async def _serials(connection: asyncpg.Connection, span: Span) -> list[int] | None:
    """The serials of the runs a span names; None where it names none."""
    if not span.runs:
        return None
    rows = await connection.fetch(_SQL["serials"], span.workload_uid, span.runs)
    return [row["serial"] for row in rows]


async def points(
    connection: asyncpg.Connection,
    span: Span,
    names: Sequence[str] | None,
    *,
    after: Place | None = None,
) -> AsyncGenerator[Sequence[Told], None]:
    """The points of a span in order of time, some at once, however many there are.

    names: metrics, or None for all. after: only what comes behind this place. Each has key, value
    (JSON text), iteration, data_source, serial, timestamp (ms).
    """
    runs = await _serials(connection, span)
    stored = None if names is None else list(dict.fromkeys(map(naming.stored_name, names)))
    start_ms = span.start_ms if after is None else max(after[0], span.start_ms or after[0])
    bounds = start_ms, span.end_ms
    asked: tuple[Any, ...] = span.workload_uid, span.data_source, stored, *bounds
    unpack = dropped_read.points_of(stored, *bounds)
    if stored is not None and len(stored) <= _FEW_KEYS:
        whole = _whole(connection, span, _SQL["points_of"], asked, unpack)
    else:
        whole = _whole(connection, span, _SQL["points"], (*asked, _NOT_METRICS), unpack)
    async with contextlib.aclosing(whole):  # a reader of a page leaves before the end
        async for rows in whole:
            found = rows if after is None else _behind(rows, after)
            if found is None:
                continue
            after = None
            if runs is not None:
                found = [row for row in found if row["serial"] in runs]
            if found:
                yield found


def _behind(rows: Sequence[Told], after: Place) -> Sequence[Told] | None:
    """Of rows in order those behind a place; None while it may still come."""
    for n, row in enumerate(rows):
        here = row["timestamp"], row["iteration"], row["serial"]
        if here > after[:3]:
            return rows[n:]
        if (
            *here,
            row["key"],
        ) == after:  # names of one step are in PostgreSQL's order: not compared
            return rows[n + 1 :]
    return None


async def iterations(connection: asyncpg.Connection, span: Span) -> AsyncIterator[Sequence[Told]]:
    """The steps of a span in order of time, some at once.

    Each has iteration, data_source, target_iteration, timestamp.
    """
    bounds = span.start_ms, span.end_ms
    asked = span.workload_uid, span.data_source, *bounds
    unpack = dropped_read.steps_of(*bounds)
    async for rows in _whole(connection, span, _SQL["iterations"], asked, unpack):
        yield rows


async def _whole(
    connection: asyncpg.Connection,
    span: Span,
    statement: str,
    asked: Sequence[Any],
    unpack: dropped_read.Unpack,
) -> AsyncGenerator[Sequence[Told], None]:
    """What a statement tells of rows, and of ranges that have no rows any more; of one moment."""
    of_whom = span.workload_uid, span.data_source
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        without_rows = await dropped_read.ranges(connection, *of_whom, span.end_ms)
        if without_rows:
            rows = aiter(connection.cursor(statement, *asked, prefetch=_AT_ONCE))
            every = dropped_read.among(connection, of_whom[0], without_rows, unpack, rows)
            async for some in _gathered(every):
                yield some
            return
        cursor = await connection.cursor(statement, *asked)
        while some := await cursor.fetch(_AT_ONCE):  # one by one took twice as long
            yield some


async def _gathered(rows: AsyncIterator[Told]) -> AsyncIterator[Sequence[Told]]:
    """Rows in lists."""
    gathered: list[Told] = []
    async for row in rows:
        gathered.append(row)
        if len(gathered) == _AT_ONCE:
            yield gathered
            gathered = []
    if gathered:
        yield gathered


async def split(
    connection: asyncpg.Connection, workload_uid: str, parts: Sequence[Part], *, at_once: int
) -> list[list[Part]]:
    """Parts as lists of about at_once stored steps, what is larger cut; nothing of empty ones."""
    rows = await connection.fetch(_SQL["split"], workload_uid, *_columns(parts), at_once)
    lists: list[list[Part]] = []
    room, place, first, done = 0, -1, 0, 0
    for row in rows:
        part = parts[row["place"]]
        if row["place"] != place:
            place, first, done = row["place"], part.first_step, 0
        steps = row["nth"] - done
        if steps > room:
            lists.append([])
            room = at_once
        lists[-1].append(Part(part.data_source, part.serial, first, row["last_step"]))
        room -= steps
        first, done = row["last_step"] + 1, row["nth"]
    return lists


async def series(
    connection: asyncpg.Connection, span: Span, keys: Sequence[str], parts: Sequence[Part]
) -> list[Told]:
    """The asked series as columns, one a series and part, steps ascending. keys: stored names.

    Returns data_source, serial, first_step (the part's), key, steps, times (ms), values.
    """
    statement = _SQL["series"] if len(keys) <= _FEW_KEYS else _SQL["many_series"]
    rows = await connection.fetch(
        statement,
        span.workload_uid,
        *_columns(parts),
        keys,
        span.start_ms,
        span.end_ms,
    )
    return [_ascending(row) for row in rows]


def _ascending(row: Told) -> Told:
    """The columns of a series by step, which they are already when read along the primary key."""
    steps: list[int] = row["steps"]
    if steps == sorted(steps):
        return row
    order = sorted(range(len(steps)), key=steps.__getitem__)
    return {
        **dict(row),
        **{name: [row[name][place] for place in order] for name in ("steps", "times", "values")},
    }


async def replaced(
    connection: asyncpg.Connection,
    span: Span,
    serials: Sequence[int],
    keys: Sequence[str],
    *,
    beside: str | None,
) -> list[asyncpg.Record]:
    """What overwritten steps had before, as columns, one record a series and revision.

    keys: stored names. beside: a stored name whose values of the same documents are told, too.
    Returns key, data_source, serial, revision, steps, times (ms), values, beside.
    """
    rows: list[asyncpg.Record] = await connection.fetch(
        _SQL["replaced"],
        *(span.workload_uid, span.data_source, serials),
        0 if span.from_step is None else span.from_step,
        LAST_STEP if span.to_step is None else span.to_step,
        *(keys, span.start_ms, span.end_ms, beside),
    )
    return rows


class Cut(msgspec.Struct, frozen=True):
    """A place after which a run may be cut.

    last_step: None at its end. steps: how many there are since the cut before.
    """

    data_source: str
    serial: int
    run_id: str
    last_step: int | None
    steps: int


async def cuts(connection: asyncpg.Connection, span: Span) -> list[Cut]:
    """The places where the asked runs may be cut, in order, each run's end last."""
    rows = await connection.fetch(_SQL["cuts"], span.workload_uid, span.data_source)
    return [
        Cut(**row)
        for row in rows
        if not span.runs or {str(row["serial"]), row["run_id"]}.intersection(span.runs)
    ]


async def exact(
    connection: asyncpg.Connection, workload_uid: str, part: Part, key: str, steps: Sequence[int]
) -> dict[int, str]:
    """The stored text of a metric's values at some steps of a part. key: a stored name."""
    rows = await connection.fetch(
        _SQL["exact"], workload_uid, part.data_source, part.serial, key, steps
    )
    return {row["iteration"]: row["value"] for row in rows}
