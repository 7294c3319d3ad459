"""Curves and counts out of chunks, and out of rows where no chunk holds what is stored.

A workload's steps are either in a range whose chunks are up to date, or read as rows: the tail
beyond the ranges, and ranges that were changed or are not built yet. Everything of one answer is
read in one snapshot, so no point is ever counted twice or missed. Comes before query/curves.
"""

import asyncio
import contextlib
import functools
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Sequence

import asyncpg
import msgspec
import numpy as np
from numpy.typing import NDArray

from primus_lens.model import naming
from primus_lens.store import changes, chunks, dropped_read, points_read, statements
from primus_lens.store.points_read import LAST_STEP, Part, Span

_SQL = statements.load("chunks.sql")
_POINTS_AT_ONCE = 200_000  # that are read as rows: 20 MB here until they are arrays

RunKey = tuple[str, int]
"""(data_source, serial)"""

SeriesKey = tuple[str, str, int]
"""(key, data_source, serial)"""

Mark = Hashable
"""What tells apart the steps and times of pieces"""


class Series(msgspec.Struct, frozen=True):
    """One series whole: columns of equal length, steps ascending. times: Unix milliseconds.

    revision: 0 for what is stored; else its points were replaced, and were the so-manieth there.
    beside: another metric's values of the replaced documents, where asked for.
    """

    metric: str
    data_source: str
    serial: int
    run_id: str
    steps: NDArray[np.int64]
    times: NDArray[np.int64]
    values: NDArray[np.float64]
    revision: int = 0
    beside: NDArray[np.float64] | None = None


class _Layout(msgspec.Struct, frozen=True):
    """run_ids: of every run. built: the ranges to read from chunks. parts: what to read as rows."""

    run_ids: dict[RunKey, str]
    built: dict[int, Part]
    parts: list[Part]


class StoredSeries(msgspec.Struct, frozen=True):
    """What the database holds of some series of a workload, still packed.

    seen: up to which version of each run (see store/changes).
    """

    span: Span
    layout: _Layout
    axes: Sequence[asyncpg.Record]
    chunks: Sequence[asyncpg.Record]
    rows: Sequence[dropped_read.Told]
    seen: dict[changes.RunKey, int]
    replaced: Sequence[asyncpg.Record] = ()

    def unpacked(self) -> Iterator[Series]:
        """The series by key, source and run; those of the same steps and times share the arrays.

        Each is unpacked when its turn comes, so that their memory is used again by a caller who
        does not keep them. 5 ns a point of chunks: for a worker thread.
        """
        places = _Places(self.span, self.axes)
        packed: dict[SeriesKey, list[Callable[[], _Piece]]] = defaultdict(list)
        for row in self.chunks:
            part = self.layout.built[row["axis_id"]]
            piece = functools.partial(_of_chunk, row, part, places)
            packed[row["key"], part.data_source, part.serial].append(piece)
        for told in self.rows:
            piece = functools.partial(_of_rows, told, places)
            packed[told["key"], told["data_source"], told["serial"]].append(piece)
        for key, data_source, serial in sorted(packed):
            of_series = [unpack() for unpack in packed[key, data_source, serial]]
            of_series.sort(key=lambda piece: piece.first_step)
            steps, times = places.joined([piece.mark for piece in of_series])
            if len(steps):
                yield Series(
                    metric=naming.metric_name(key),
                    data_source=data_source,
                    serial=serial,
                    run_id=self.layout.run_ids[data_source, serial],
                    steps=steps,
                    times=times,
                    values=chunks.joined([piece.values for piece in of_series]),
                )

    def unpacked_replaced(self) -> Iterator[Series]:
        """The replaced points by key, source, run and revision."""
        for row in self.replaced:
            yield Series(
                metric=naming.metric_name(row["key"]),
                data_source=row["data_source"],
                serial=row["serial"],
                run_id=self.layout.run_ids[row["data_source"], row["serial"]],
                steps=np.array(row["steps"], dtype=np.int64),
                times=np.array(row["times"], dtype=np.int64),
                values=np.array(row["values"], dtype=np.float64),
                revision=row["revision"],
                beside=np.array(row["beside"], dtype=np.float64),  # None becomes NaN
            )


class _Piece(msgspec.Struct, frozen=True):
    """One series in one range or part. mark: its place among the places."""

    first_step: int
    mark: Mark
    values: NDArray[np.float64]


class _Places:
    """Steps and times of pieces, each made once however many series have a piece there."""

    def __init__(self, span: Span, axes: Sequence[asyncpg.Record]) -> None:
        self._span = span
        self._axes = {
            row["axis_id"]: (chunks.unpack(row["steps"]), chunks.unpack(row["times"]))
            for row in axes
        }
        self._made: dict[Mark, _Place] = {}
        self._joined: dict[tuple[Mark, ...], tuple[NDArray[np.int64], NDArray[np.int64]]] = {}

    def of_chunk(self, mark: tuple[int, bytes | None, bytes | None]) -> "_Place":
        """Where the points of a chunk are, of those asked for."""
        if mark not in self._made:
            axis_id, positions, own_times = mark
            steps, times = self._axes[axis_id]
            if positions is not None:
                at = chunks.unpack(positions)
                steps, times = steps[at], times[at]
            if own_times is not None:
                times = chunks.unpack(own_times)
            self._made[mark] = _within(steps, times, self._span)
        return self._made[mark]

    def of_rows(self, steps: NDArray[np.int64], times: NDArray[np.int64]) -> Mark:
        """A mark for points that were read as rows, all of them asked for."""
        mark = steps.tobytes(), times.tobytes()
        self._made.setdefault(mark, _Place(steps, times, None))
        return mark

    def joined(self, marks: Sequence[Mark]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Steps and times of a whole series."""
        key = tuple(marks)
        if key not in self._joined:
            made = [self._made[mark] for mark in marks]
            self._joined[key] = (
                chunks.joined([place.steps for place in made]),
                chunks.joined([place.times for place in made]),
            )
        return self._joined[key]


class _Place(msgspec.Struct, frozen=True):
    """asked: which of a chunk's points are within the span; None: all."""

    steps: NDArray[np.int64]
    times: NDArray[np.int64]
    asked: NDArray[np.bool_] | None


async def series(
    connection: asyncpg.Connection,
    span: Span,
    names: Sequence[str],
    *,
    replaced: bool = False,
    beside: str | None = None,
) -> StoredSeries:
    """The asked metrics of a workload.

    replaced: also what was overwritten, with the values of the metric `beside`.
    """
    keys = list(dict.fromkeys(naming.stored_name(name) for name in names))
    async with _snapshot(connection):
        layout = await _layout(connection, span)
        asked = span.workload_uid, list(layout.built)
        packed = await connection.fetch(_SQL["chunks"], span.workload_uid, keys, asked[1])
        axes = await connection.fetch(_SQL["axes"], *asked)
        rows = await _rows(connection, span, keys, layout.parts)
        seen = await changes.seen_now(connection, span.workload_uid)
        old: Sequence[asyncpg.Record] = ()
        if replaced:
            serials = sorted({serial for _, serial in layout.run_ids})
            key = None if beside is None else naming.stored_name(beside)
            old = await points_read.replaced(connection, span, serials, keys, beside=key)
    return StoredSeries(span, layout, axes, packed, rows, seen, old)


async def sources(connection: asyncpg.Connection, workload_uid: str) -> list[tuple[str, int]]:
    """Every source with its number of steps, by name."""
    count: Counter[str] = Counter()
    async with _snapshot(connection):
        layout = await _layout(connection, Span(workload_uid))
        for row in await connection.fetch(_SQL["steps_in_chunks"], workload_uid):
            count[row["data_source"]] += row["count"]
        for row in await points_read.sources(connection, workload_uid, layout.parts):
            count[row["data_source"]] += row["count"]
    return sorted(count.items())


async def available(
    connection: asyncpg.Connection, workload_uid: str, data_source: str
) -> list[tuple[str, list[str], int]]:
    """Every metric with its sources and the number of its points, by name."""
    count: dict[str, Counter[str]] = defaultdict(Counter)
    async with _snapshot(connection):
        layout = await _layout(connection, Span(workload_uid, data_source))
        in_chunks = await connection.fetch(_SQL["counts"], workload_uid, data_source)
        in_rows = await points_read.available(connection, workload_uid, layout.parts)
    for row in (*in_chunks, *in_rows):
        count[naming.metric_name(row["key"])][row["data_source"]] += row["count"]
    return [(name, sorted(of), of.total()) for name, of in sorted(count.items())]


async def _rows(
    connection: asyncpg.Connection, span: Span, keys: Sequence[str], parts: Sequence[Part]
) -> list[dropped_read.Told]:
    """What no chunk holds; in parts that bound the memory, for a long run may not be packed yet."""
    at_once = max(1, _POINTS_AT_ONCE // max(1, len(keys)))
    lists = await points_read.split(connection, span.workload_uid, parts, at_once=at_once)
    found: list[dropped_read.Told] = []
    for some in lists:
        rows = await points_read.series(connection, span, keys, some)
        found += rows if len(lists) == 1 else await asyncio.to_thread(_as_arrays, rows)
    return found


def _as_arrays(rows: Sequence[dropped_read.Told]) -> list[dropped_read.Told]:
    """The same in a tenth of the memory; series of the same steps and times share them."""
    shared: dict[bytes, NDArray[np.int64]] = {}
    packed: list[dropped_read.Told] = []
    for row in rows:
        columns = {name: np.array(row[name], dtype=np.int64) for name in ("steps", "times")}
        same = {name: shared.setdefault(each.tobytes(), each) for name, each in columns.items()}
        values = np.array(row["values"], dtype=np.float64)
        packed.append({**dict(row), **same, "values": values})
    return packed


@contextlib.asynccontextmanager
async def _snapshot(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """All statements within see the same moment."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        yield


async def _layout(connection: asyncpg.Connection, span: Span) -> _Layout:
    """Where the steps of a span stand."""
    first = 0 if span.from_step is None else span.from_step
    last = LAST_STEP if span.to_step is None else span.to_step
    layout = _Layout({}, {}, [])
    ranges = await connection.fetch(_SQL["ranges"], span.workload_uid, span.data_source)
    for row in ranges:
        if span.runs and not {str(row["serial"]), row["run_id"]}.intersection(span.runs):
            continue
        run = row["data_source"], row["serial"]
        places = []
        if run not in layout.run_ids:
            layout.run_ids[run] = row["run_id"]
            places.append((row["sealed_step"] + 1, LAST_STEP))
        if row["built"]:
            if row["first_step"] <= last and row["last_step"] >= first:
                layout.built[row["axis_id"]] = Part(*run, row["first_step"], row["last_step"])
        elif row["axis_id"] is not None:
            places.append((row["first_step"], row["last_step"]))
        clipped = [(max(begin, first), min(end, last)) for begin, end in places]
        layout.parts.extend(Part(*run, *place) for place in clipped if place[0] <= place[1])
    return layout


def _of_chunk(row: asyncpg.Record, part: Part, places: _Places) -> _Piece:
    mark = row["axis_id"], row["positions"], row["times"]
    asked = places.of_chunk(mark).asked
    values = chunks.unpack(row["numbers"])
    return _Piece(part.first_step, mark, values if asked is None else values[asked])


def _of_rows(row: dropped_read.Told, places: _Places) -> _Piece:
    steps = np.asarray(row["steps"], dtype=np.int64)
    mark = places.of_rows(steps, np.asarray(row["times"], dtype=np.int64))
    return _Piece(row["first_step"], mark, np.asarray(row["values"], dtype=np.float64))


def _within(steps: NDArray[np.int64], times: NDArray[np.int64], span: Span) -> _Place:
    """The points whose step and time are asked for."""
    bounds = (
        (np.greater_equal, steps, span.from_step),
        (np.less_equal, steps, span.to_step),
        (np.greater_equal, times, span.start_ms),
        (np.less_equal, times, span.end_ms),
    )
    tests = [holds(column, bound) for holds, column, bound in bounds if bound is not None]
    if not tests:
        return _Place(steps, times, None)
    asked = np.logical_and.reduce(tests)
    if asked.all():
        return _Place(steps, times, None)
    return _Place(steps[asked], times[asked], asked)
