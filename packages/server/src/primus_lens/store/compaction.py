"""Settled rows of training_performance into columnar chunks, in the background.

Each source of each run is laid out in ranges of steps, one after another from step 0; beyond them
is the tail. A range is first laid out, then built; until then, and whenever a step in it was stored
since, its rows are read instead (chunk_read). Every step of this is a transaction of its own, so it
may be killed anywhere. Chunks are derived: forgetting them loses nothing.

Why no late step is ever missed: a range is laid out while run_last's row is locked. Whoever stores
a step locks that row, too (note_latest), and marks ranges only after that. So a writer either
committed before the range was laid out, and its rows are read; or it sees the range and marks it,
and a version that moved while the rows were read makes the build void.
"""

import asyncio
import logging
from collections.abc import Sequence

import asyncpg
import msgspec

from primus_lens.model import errors
from primus_lens.store import chunks, statements
from primus_lens.store.database import Database

log = logging.getLogger(__name__)

_SQL = statements.load("chunks.sql")

_MOST_SMALL = 64  # ranges that become one; more than there ever are of a full range
_CLOCK_SLACK_S = 60.0  # between a report's arrival and its commit, and between replicas


class Sizes(msgspec.Struct, frozen=True):
    """How steps are laid out.

    full: steps of a range; longer ones pack hardly better and make a late step dearer. small: steps
    that are laid out at once all the same, so that the tail, whose points are the dear ones, stays
    short; small ranges become one as soon as they make a full one. unsettled: the newest steps,
    which reports may still add metrics to. points: of a range at most, some 100 MB while it is
    built. quiet_s: how long a changed range is left alone before it is built again.
    """

    full: int = 4096
    small: int = 128
    unsettled: int = 16
    points: int = 1_000_000
    quiet_s: float = 5.0

    def full_of(self, metrics: int) -> int:
        """How many steps of so many metrics make a full range."""
        return max(min(self.unsettled, self.full), min(self.full, self.points // max(metrics, 1)))


class RunSource(msgspec.Struct, frozen=True):
    """One source of one run: what is laid out on its own."""

    workload_uid: str
    data_source: str
    serial: int

    @property
    def key(self) -> tuple[str, str, int]:
        """As the statements take it."""
        return self.workload_uid, self.data_source, self.serial


class _Packed(msgspec.Struct, frozen=True):
    """A range as bytes. chunks: by key, the parameters of write_chunks from first_step on.

    keep_rows: some integers have digits that the chunks do not hold.
    """

    steps: bytes
    times: bytes
    keep_rows: bool
    chunks: dict[str, tuple[object, ...]]


class Compaction:
    """Keeps one database's chunks up. Any number of replicas may; a run has one at a time."""

    def __init__(self, database: Database, sizes: Sizes = Sizes()) -> None:  # noqa: B008 - frozen
        self._database = database
        self._sizes = sizes
        self._heard_since = 0.0

    async def sweep(self, *, now: float) -> int:
        """Compact what is settled. now: Unix seconds. Returns how many ranges were built."""
        rows = await self._database.fetch(
            _SQL["runs_to_compact"],
            self._heard_since,
            now - self._sizes.quiet_s,
            self._sizes.small + self._sizes.unsettled,
        )
        built = 0
        for row in rows:
            try:
                built += await self.compact(RunSource(*row), now=now)
            except errors.StoreUnavailable:
                raise
            except Exception:  # its rows are read as before; the other runs must not wait for it
                log.exception("a run could not be compacted", extra={"workload": row[0]})
        self._heard_since = now - _CLOCK_SLACK_S
        if built:
            log.info("ranges built", extra={"ranges": built, "runs": len(rows)})
        return built

    async def compact(self, run: RunSource, *, now: float) -> int:
        """Lay out and build what is settled of one run. Returns how many ranges were built."""
        built = 0
        while (axis_id := await self._lay_out(run, now)) is not None:
            built += await self._build_all(run, axis_id, now)
        quiet_since = now - self._sizes.quiet_s
        changed = await self._database.fetch(_SQL["changed_ranges"], *run.key, quiet_since)
        for row in changed:
            built += await self._build_all(run, row["axis_id"], now)
        return built

    async def rebuild(self, workload_uid: str, *, now: float) -> int:
        """Forget a workload's chunks and make them anew. Returns how many ranges were built.

        Ranges whose rows are gone stay as they are, and so does the layout before them.
        """
        rows = await self._database.fetch(_SQL["runs_of_workload"], workload_uid)
        built = 0
        for row in rows:
            run = RunSource(workload_uid, *row)
            async with self._database.connection() as connection, connection.transaction():
                await connection.execute(_SQL["lock_run"], *run.key)
                kept = await connection.fetchval(_SQL["last_without_rows"], *run.key)
                await connection.execute(_SQL["mark_all"], *run.key, kept)
                await connection.execute(_SQL["drop_ranges"], *run.key, kept + 1)
                await connection.execute(_SQL["seal"], *run.key, kept)
            built += await self.compact(run, now=now)
        return built

    async def _lay_out(self, run: RunSource, now: float) -> int | None:
        """Lay out the next range of settled steps, if there are enough; small ones become one.

        Returns its axis_id.
        """
        async with self._database.connection() as connection, connection.transaction():
            if not await connection.fetchval(_SQL["try_lock_run"], *run.key):
                return None
            size = await connection.fetchrow(_SQL["run_size"], *run.key)
            if size is None:
                return None
            sealed, full = size["sealed_step"], self._sizes.full_of(size["metrics"])
            held, first_step = await _open_ranges(connection, run, full)
            settled = await connection.fetchrow(
                _SQL["settled"], *run.key, sealed, full - held, self._sizes.unsettled
            )
            steps = settled["steps_stored"]
            if held + steps == full:
                steps = full
            elif steps >= min(self._sizes.small, full):
                first_step = None
            else:
                return None
            if first_step is None:
                first_step = sealed + 1
            if await connection.fetchval(_SQL["lock_run"], *run.key) != sealed:
                return None  # forgotten by rebuild meanwhile
            await connection.execute(_SQL["drop_ranges"], *run.key, first_step)
            last_step = settled["last_step"]
            axis_id: int = await connection.fetchval(
                _SQL["open_range"], *run.key, first_step, last_step, steps, now
            )
            await connection.execute(_SQL["seal"], *run.key, last_step)
            return axis_id

    async def _build_all(self, run: RunSource, axis_id: int, now: float) -> int:
        """Build a range, and what is split off from it when late steps have made it too long."""
        built = 0
        pending: int | None = axis_id
        while pending is not None:
            done, pending = await self._build(run, pending, now)
            built += done
        return built

    async def _build(self, run: RunSource, axis_id: int, now: float) -> tuple[bool, int | None]:
        """Read a range's rows and write its chunks, void if a step was stored meanwhile.

        Returns whether it is built, and the axis_id of what was split off.
        """
        async with self._database.connection() as connection, connection.transaction():
            if not await connection.fetchval(_SQL["try_lock_run"], *run.key):
                return False, None
            span = await connection.fetchrow(_SQL["range"], run.workload_uid, axis_id)
            if span is None or span["built"] == span["version"]:
                return False, None
            size = await connection.fetchrow(_SQL["run_size"], *run.key)
            rows, last_step = await _rows(
                connection, run, span, self._sizes.full_of(size["metrics"])
            )
            packed = await asyncio.to_thread(_packed, rows)  # 0.5 us a point
            if last_step != span["last_step"]:
                await connection.execute(_SQL["lock_run"], *run.key)
            if not await connection.fetchval(
                _SQL["finish_range"],
                *(run.workload_uid, axis_id, span["version"]),
                *(last_step, len(rows), packed.steps, packed.times, packed.keep_rows),
            ):
                return False, None
            await _write(connection, run, axis_id, packed)
            if last_step == span["last_step"]:
                return True, None
            rest = (last_step + 1, span["last_step"], 0, now)
            return True, await connection.fetchval(_SQL["open_range"], *run.key, *rest)


async def _open_ranges(
    connection: asyncpg.Connection, run: RunSource, full: int
) -> tuple[int, int | None]:
    """The newest ranges that are still small: how many steps they hold, and where they begin."""
    held, first_step = 0, None
    newest = await connection.fetch(_SQL["newest_ranges"], *run.key, _MOST_SMALL)
    for each in newest:
        if each["rows_dropped"] or held + each["steps_stored"] >= full:
            break
        held, first_step = held + each["steps_stored"], each["first_step"]
    return held, first_step


async def _rows(
    connection: asyncpg.Connection, run: RunSource, span: asyncpg.Record, full: int
) -> tuple[list[chunks.StoredStep], int]:
    """The rows of a range and its last step; of a range grown too long, its beginning."""
    ends = span["first_step"], span["last_step"]
    records = await connection.fetch(_SQL["rows_of_range"], *run.key, *ends, 2 * full + 1)
    rows = [chunks.StoredStep(*record) for record in records]
    if len(rows) <= 2 * full:
        return rows, span["last_step"]
    return rows[:full], rows[full - 1].step


def _packed(rows: Sequence[chunks.StoredStep]) -> _Packed:
    axis, columns = chunks.columns(rows)
    return _Packed(
        chunks.pack(axis.steps),
        chunks.pack(axis.times),
        any(column.inexact for column in columns),
        {column.key: _chunk(axis, column) for column in columns},
    )


def _chunk(axis: chunks.Axis, column: chunks.Column) -> tuple[object, ...]:
    steps = axis.steps if column.positions is None else axis.steps[column.positions]
    known = chunks.statistics(column.numbers)
    return (
        int(steps[0]),
        int(steps[-1]),
        *(known.n, known.min, known.max, known.sum, known.first, known.last),
        *(known.nans, known.infinities, known.negative_infinities, column.inexact),
        chunks.pack(column.numbers),
        None if column.positions is None else chunks.pack(column.positions),
        None if column.times is None else chunks.pack(column.times),
    )


async def _write(
    connection: asyncpg.Connection, run: RunSource, axis_id: int, packed: _Packed
) -> None:
    """Put the chunks of a range in the place of those it had."""
    await connection.execute(_SQL["drop_chunks"], run.workload_uid, axis_id)
    keys = sorted(packed.chunks)
    if not keys:
        return
    await connection.execute(_SQL["name_series"], run.workload_uid, keys)
    named = dict(await connection.fetch(_SQL["find_series"], run.workload_uid, keys))
    fields = zip(*((named[key], *packed.chunks[key]) for key in keys), strict=True)
    await connection.execute(
        _SQL["write_chunks"], *run.key, axis_id, *(list(values) for values in fields)
    )
