"""Chunks answer what rows answer: whatever is stored, whenever, in whatever order."""

import asyncio
import itertools
import random

import chunk_reading as reading
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from primus_lens.store import check, points_write
from primus_lens.store.compaction import Compaction, RunSource

NUMBERS = st.one_of(
    st.sampled_from(["NaN", "Infinity", "-Infinity", "-0.0", 0, 1, -1, 2**53 + 1, 10**300, 5e-324]),
    st.floats(allow_nan=False, allow_infinity=False).filter(lambda value: value != 0),
    st.integers(-(2**70), 2**70),
)
ANYTHING = st.one_of(NUMBERS, NUMBERS, st.sampled_from(["text", True, None, [1]]))
ROWS = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.integers(0, 4000).map(lambda n: 1000 + n / 100),
        st.dictionaries(st.sampled_from(reading.NAMES[:4]), ANYTHING, min_size=1),
        st.dictionaries(
            st.sampled_from(reading.NAMES[:2]), st.floats(900, 1100, allow_nan=False), max_size=1
        ),
    ),
    min_size=1,
    max_size=40,
)
REPORTS = st.tuples(ROWS, st.sampled_from(["r", "r", "s"]), st.sampled_from(["wandb", "other"]))
COMPACT = st.sampled_from(["lay out", "compact", "rebuild"])
numbers = itertools.count()


async def compacted(database, workload, how):
    """Some of the work of the background, or all of it."""
    compaction = Compaction(database, reading.TINY)
    if how == "rebuild":
        await compaction.rebuild(workload, now=reading.LATER)
    elif how == "compact":
        await compaction.sweep(now=reading.LATER)
    else:
        await compaction._lay_out(RunSource(workload, "wandb", 1), reading.LATER)


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(operations=st.lists(st.one_of(REPORTS, COMPACT), min_size=1, max_size=10))
def test_chunks_tell_what_rows_tell(database_dsn, operations):
    """After every report and every bit of compaction, both ways of reading agree bit for bit."""
    workload = f"w{next(numbers)}"

    async def scenario():
        async with reading.opened(database_dsn) as database:
            for operation in operations:
                if isinstance(operation, str):
                    await compacted(database, workload, operation)
                else:
                    rows, run_id, source = operation
                    told = reading.report(workload, rows, run_id=run_id, source=source)
                    await reading.store(database, told)
                await reading.assert_agree(database, workload)

    asyncio.run(scenario())


def test_late_steps_are_read_at_once(database_dsn):
    """A step that comes into a built range, new or overwritten, is in the next answer."""

    async def scenario():
        async with reading.opened(database_dsn) as database:
            rows = [(step * 2, 1000.0 + step, {"a": step}, {}) for step in range(60)]
            await reading.store(database, reading.report("w", rows))
            compaction = Compaction(database, reading.TINY)
            assert await compaction.sweep(now=reading.LATER) > 0
            await reading.store(database, reading.report("w", [(11, 2000.0, {"a": "NaN"}, {})]))
            await reading.assert_agree(database, "w")
            await reading.store(database, reading.report("w", [(12, 2000.0, {"a": -1}, {})]))
            await reading.assert_agree(database, "w")
            assert await compaction.sweep(now=reading.LATER) == 1
            await reading.assert_agree(database, "w")

    asyncio.run(scenario())


async def ranges(database):
    """How the workload "w" is laid out: first step, last step, steps stored, built."""
    rows = await database.fetch(
        "SELECT first_step, last_step, steps_stored, built = version "
        "FROM chunk_axis WHERE workload_uid = 'w' ORDER BY first_step"
    )
    return [tuple(row) for row in rows]


async def add_steps(database, first, last):
    """One metric at every step from first to last."""
    rows = [(step, 1000.0 + step, {"a": step}, {}) for step in range(first, last + 1)]
    await reading.store(database, reading.report("w", rows))


def test_ranges_follow_one_another_without_a_hole(database_dsn):
    """Full ranges are cut from step 0 on; the newest steps stay outside."""

    async def scenario():
        async with reading.opened(database_dsn) as database:
            await add_steps(database, 5, 34)
            await Compaction(database, reading.TINY).sweep(now=reading.LATER)
            return await ranges(database)

    assert asyncio.run(scenario()) == [(0, 16, 12, True), (17, 28, 12, True), (29, 32, 4, True)]


def test_small_ranges_become_a_full_one(database_dsn):
    """Steps that come slowly are packed early, and once more when there are enough."""

    async def scenario():
        found = []
        async with reading.opened(database_dsn) as database:
            for last in (5, 9, 13):
                await add_steps(database, last - 5, last)
                await Compaction(database, reading.TINY).sweep(now=reading.LATER)
                found.append(await ranges(database))
        return found

    assert asyncio.run(scenario()) == [
        [(0, 3, 4, True)],
        [(0, 3, 4, True), (4, 7, 4, True)],
        [(0, 11, 12, True)],
    ]


def test_range_that_late_steps_made_too_long_is_split(database_dsn):
    """Steps filled in later make a range no longer than twice the full size."""

    async def scenario():
        async with reading.opened(database_dsn) as database:
            compaction = Compaction(database, reading.TINY)
            rows = [(step * 10, 1000.0 + step, {"a": step}, {}) for step in range(14)]
            await reading.store(database, reading.report("w", rows))
            await compaction.sweep(now=reading.LATER)
            await add_steps(database, 0, 49)
            await compaction.sweep(now=reading.LATER)
            await reading.assert_agree(database, "w")
            return await ranges(database)

    assert asyncio.run(scenario()) == [
        (0, 11, 12, True),
        (12, 23, 12, True),
        (24, 35, 12, True),
        (36, 110, 21, True),
    ]


def test_wide_steps_make_shorter_ranges(database_dsn):
    """A range holds a bounded number of points, whatever the number of metrics."""

    async def scenario():
        async with reading.opened(database_dsn) as database:
            await reading.store(
                database,
                reading.report(
                    "w", [(s, 1.0, {str(n): n for n in range(30)}, {}) for s in range(40)]
                ),
            )
            sizes = reading.Sizes(full=12, small=3, unsettled=2, points=150, quiet_s=0)
            await Compaction(database, sizes).sweep(now=reading.LATER)
            return {row[2] for row in await ranges(database)}

    assert asyncio.run(scenario()) == {5, 3}


def test_changed_range_is_left_alone_for_a_while(database_dsn):
    """A range is built again only when no step of it has come for quiet_s."""

    async def scenario():
        async with reading.opened(database_dsn) as database:
            sizes = reading.Sizes(full=12, small=3, unsettled=2, quiet_s=5)
            compaction = Compaction(database, sizes)
            await add_steps(database, 0, 20)
            await compaction.sweep(now=reading.LATER)
            await add_steps(database, 3, 3)
            [(changed_at,)] = await database.fetch(
                "SELECT extract(epoch FROM changed_at)::float8 "
                "FROM chunk_axis WHERE built <> version"
            )
            early = await compaction.sweep(now=changed_at + 4)
            return early, await compaction.sweep(now=changed_at + 6)

    assert asyncio.run(scenario()) == (0, 1)


def test_run_that_another_replica_compacts_is_passed_over(database_dsn):
    """One replica at a time compacts a run."""

    async def scenario():
        async with reading.opened(database_dsn) as database:
            await add_steps(database, 0, 20)
            async with database.connection() as other, other.transaction():
                await other.execute(
                    "SELECT pg_advisory_xact_lock(hashtextextended('w/wandb/1', 1))"
                )
                meanwhile = await Compaction(database, reading.TINY).sweep(now=reading.LATER)
            return meanwhile, await Compaction(database, reading.TINY).sweep(now=reading.LATER)

    assert asyncio.run(scenario()) == (0, 2)


def test_run_that_cannot_be_packed_leaves_the_others_alone(database_dsn, caplog):
    """A row that compaction cannot read costs that run its chunks, nothing else."""

    async def scenario():
        async with reading.opened(database_dsn) as database:
            for workload in ("v", "w"):
                rows = [(step, 1.0, {"a": step}, {}) for step in range(20)]
                await reading.store(database, reading.report(workload, rows))
            await database.fetch(
                "UPDATE training_performance SET performance = '[]' WHERE workload_uid = 'v'"
            )
            await Compaction(database, reading.TINY).sweep(now=reading.LATER)
            return await ranges(database)

    assert all(built for *_, built in asyncio.run(scenario()))
    assert "a run could not be compacted" in caplog.text


def test_last_steps_there_can_be_are_packed(database_dsn):
    """Up to step 2^63 - 1 a run is packed and read as any other, and holds up none."""

    async def scenario():
        async with reading.opened(database_dsn) as database:
            for workload, first in (("v", 2**63 - 30), ("w", 0)):
                rows = [(first + n, 1000.0 + n, {"a": n}, {}) for n in range(30)]
                await reading.store(database, reading.report(workload, rows))
            assert await Compaction(database, reading.TINY).sweep(now=reading.LATER)
            for workload in ("v", "w"):
                await reading.assert_agree(database, workload)
            laid_out = "SELECT workload_uid FROM chunk_axis WHERE built = version"
            packed = {uid for (uid,) in await database.fetch(laid_out)}
            return packed, (await check.check(database)).problems

    assert asyncio.run(scenario()) == ({"v", "w"}, [])


def test_writer_that_was_there_before_the_range_is_not_missed(database_dsn):
    """A step stored but not yet committed when its range is built is in the answers afterwards."""

    async def scenario():
        async with reading.opened(database_dsn) as database:
            await add_steps(database, 0, 20)
            late = reading.report("w", [(3, 2000.0, {"a": -1}, {})])
            [row] = late.rows
            placed = [points_write.PlacedRow("w", 1, "", row, row.at)]
            async with database.connection() as writer, writer.transaction():
                await points_write.merge_steps(writer, placed)
                assert await Compaction(database, reading.TINY).sweep(now=reading.LATER) == 2
                await points_write.note_latest(writer, placed, now=1.0)
            await reading.assert_agree(database, "w")

    asyncio.run(scenario())


def test_range_waits_for_a_writer_that_could_not_see_it(database_dsn):
    """A transaction that looked for ranges before there were any commits before there are."""

    async def scenario():
        async with reading.opened(database_dsn) as database:
            await add_steps(database, 0, 20)
            late = reading.report("w", [(3, 2000.0, {"a": -1}, {})])
            compaction = Compaction(database, reading.TINY)
            async with database.connection() as connection, connection.transaction():
                await reading.GroupTransaction(connection, [late]).run()
                sweep = asyncio.create_task(compaction.sweep(now=reading.LATER))
                await lock_awaited(database)
            assert await sweep == 2
            await reading.assert_agree(database, "w")

    asyncio.run(scenario())


def test_small_ranges_become_one_beside_a_writer_that_marks_them(database_dsn):
    """Whoever is about to mark a range that becomes part of another is waited for, not hung up."""

    async def scenario():
        async with reading.opened(database_dsn) as database:
            for last in (5, 9):
                await add_steps(database, last - 5, last)
                await Compaction(database, reading.TINY).sweep(now=reading.LATER)
            await add_steps(database, 10, 13)
            late = reading.report("w", [(3, 2000.0, {"a": -1}, {})])
            placed = [points_write.PlacedRow("w", 1, "", late.rows[0], late.rows[0].at)]
            async with database.connection() as writer, writer.transaction():
                await points_write.merge_steps(writer, placed)
                sealed = await writer.fetch("SELECT * FROM run_last FOR UPDATE")
                sweep = asyncio.create_task(
                    Compaction(database, reading.TINY).sweep(now=reading.LATER)
                )
                await lock_awaited(database)
                await points_write._mark_changed(writer, placed, sealed, now=1.0)
            await sweep
            await reading.assert_agree(database, "w")
            return await ranges(database)

    assert asyncio.run(scenario()) == [(0, 11, 12, True)]


def test_run_that_is_forgotten_meanwhile_is_laid_out_from_its_beginning(database_dsn):
    """A range that was to follow others is not laid out where rebuild has just dropped those."""

    async def scenario():
        async with reading.opened(database_dsn) as database:
            await add_steps(database, 0, 20)
            await Compaction(database, reading.TINY).sweep(now=reading.LATER)
            await add_steps(database, 21, 40)
            compaction = Compaction(database, reading.TINY)
            async with database.connection() as writer, writer.transaction():
                await writer.execute("SELECT FROM run_last FOR UPDATE")
                rebuild = asyncio.create_task(compaction.rebuild("w", now=reading.LATER))
                await lock_awaited(database)
                run = RunSource("w", "wandb", 1)
                late = asyncio.create_task(compaction._lay_out(run, reading.LATER))
                while await waiting(database) < 2:
                    pass
            assert await late is None
            await rebuild
            await Compaction(database, reading.TINY).sweep(now=reading.LATER)
            await reading.assert_agree(database, "w")
            return await ranges(database)

    assert [row[0] for row in asyncio.run(scenario())] == [0, 12, 24, 36]


def test_range_without_any_number_is_built(database_dsn):
    """Steps that carry no numbers make a range without chunks."""

    async def scenario():
        async with reading.opened(database_dsn) as database:
            rows = [(step, 1.0, {"a": "text"}, {}) for step in range(20)]
            await reading.store(database, reading.report("w", rows))
            await Compaction(database, reading.TINY).sweep(now=reading.LATER)
            await reading.assert_agree(database, "w")
            return await ranges(database)

    assert asyncio.run(scenario()) == [(0, 11, 12, True), (12, 17, 6, True)]


def test_one_answer_is_of_one_moment(database_dsn):
    """While ranges are dropped and made anew, an answer has every point once."""

    async def rebuild(database, reads):
        while not reads.done():
            await Compaction(database, reading.TINY).rebuild("w", now=reading.LATER)

    async def read(database, expected):
        for _ in range(100):
            async with database.connection() as connection:
                assert await reading.through_chunks(connection, reading.Span("w")) == expected

    async def scenario():
        async with reading.opened(database_dsn) as database:
            await add_steps(database, 0, 99)
            _, expected = await reading.both_ways(database, reading.Span("w"))
            reads = asyncio.gather(*(read(database, expected) for _ in range(2)))
            await asyncio.gather(reads, rebuild(database, reads))

    asyncio.run(scenario())


def test_build_during_which_a_step_came_is_void(database_dsn):
    """What was read before a step was committed does not count as what is stored."""

    async def scenario():
        async with reading.opened(database_dsn) as database:
            await add_steps(database, 0, 20)
            compaction = Compaction(database, reading.TINY)
            axis_id = await compaction._lay_out(RunSource("w", "wandb", 1), reading.LATER)
            late = reading.report("w", [(3, 2000.0, {"a": -1}, {})])
            async with database.connection() as connection, connection.transaction():
                await reading.GroupTransaction(connection, [late]).run()
                building = asyncio.create_task(
                    compaction._build(RunSource("w", "wandb", 1), axis_id, reading.LATER)
                )
                await lock_awaited(database)
            assert await building == (False, None)
            await reading.assert_agree(database, "w")

    asyncio.run(scenario())


async def waiting(database):
    """How many statements of the database wait for a lock."""
    [(count,)] = await database.fetch(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return count


async def lock_awaited(database):
    """Come back when some statement of the database waits for a lock."""
    while not await waiting(database):
        pass


def test_range_is_split_after_a_writer_that_marks_the_whole(database_dsn):
    """A step whose writer knows the range only as a whole is not missed in what is split off."""

    async def scenario():
        async with reading.opened(database_dsn) as database:
            rows = [(step * 10, 1000.0 + step, {"a": step}, {}) for step in range(14)]
            await reading.store(database, reading.report("w", rows))
            compaction = Compaction(database, reading.TINY)
            await compaction.sweep(now=reading.LATER)
            await add_steps(database, 0, 49)
            [(axis_id,)] = await database.fetch("SELECT axis_id FROM chunk_axis")
            late = reading.report("w", [(105, 2000.0, {"a": -1}, {})])
            placed = [points_write.PlacedRow("w", 1, "", late.rows[0], late.rows[0].at)]
            async with database.connection() as writer, writer.transaction():
                await points_write.merge_steps(writer, placed)
                sealed = await writer.fetch("SELECT * FROM run_last FOR UPDATE")
                async with database.connection() as other, other.transaction():
                    # Holds up a build that has finished its range and is about to write chunks.
                    await other.execute("LOCK TABLE series IN SHARE ROW EXCLUSIVE MODE")
                    run = RunSource("w", "wandb", 1)
                    building = asyncio.create_task(
                        compaction._build_all(run, axis_id, reading.LATER)
                    )
                    await lock_awaited(database)
                    marking = asyncio.create_task(
                        points_write._mark_changed(writer, placed, sealed, now=1.0)
                    )
                    while not marking.done() and await waiting(database) < 2:
                        pass
                while not building.done() and not (marking.done() and await waiting(database)):
                    pass
                await marking
            await building
            await reading.assert_agree(database, "w")

    asyncio.run(scenario())


def test_answers_agree_while_everything_happens_at_once(database_dsn):
    """Writers, late ones among them, three replicas' compaction and readers at the same time."""
    chance = random.Random(11)

    async def write(database, first):
        for step in range(first, first + 120, 6):
            rows = [(s, 1000.0 + s, {"a": s, "b": -s}, {}) for s in range(step, step + 6)]
            late = chance.randrange(step + 1)
            rows.append((late, 1000.0 + late, {"a": chance.random(), "sparse": 1}, {}))
            await reading.store(database, reading.report("w", rows))

    async def compact(database, writing):
        while not writing.done():
            await Compaction(database, reading.TINY).sweep(now=reading.LATER)

    async def read(database, writing):
        while not writing.done():
            await reading.assert_agree(database, "w")

    async def scenario():
        async with reading.opened(database_dsn) as database:
            writing = asyncio.gather(*(write(database, first) for first in (0, 60, 120)))
            await asyncio.gather(
                writing,
                *(compact(database, writing) for _ in range(3)),
                *(read(database, writing) for _ in range(2)),
            )
            await Compaction(database, reading.TINY).sweep(now=reading.LATER)
            await reading.assert_agree(database, "w")

    asyncio.run(scenario())
