"""What is given up after a time, and that nothing else is."""

import asyncio
import json
import random

import chunk_reading as reading
import msgspec
import pytest

from primus_lens.model import errors
from primus_lens.model.points import RecordRange
from primus_lens.query import curves, progress
from primus_lens.store import dropped, retention
from primus_lens.store.compaction import Compaction
from primus_lens.store.points_read import Span

LATER = reading.LATER
EVEN_LATER = LATER + 1  # when what was packed at LATER is old
ODD = ["NaN", "Infinity", "-Infinity", "-0.0", 5, 0.1, 2.5e-300, 1e300, 3.0]


def at(database_dsn, work):
    """What some work on the database returns."""

    async def scenario():
        async with reading.opened(database_dsn) as database:
            return await work(database)

    return asyncio.run(scenario())


async def fill(database, *, steps=60, workload="w"):
    """A run with odd values, own times, sparse metrics, gaps between steps, texts and a target."""
    chance = random.Random(2)
    rows = []
    for step in range(0, steps * 2, 2):
        metrics = {"a": chance.random(), "b": ODD[step // 2 % len(ODD)], "target_iteration": 500}
        metrics |= {"step": step} | ({"sparse": step / 7} if step % 6 == 0 else {})
        times = {"b": 2000.25 + step} if step % 8 == 0 else {}
        rows.append((step, 1000.5 + step, metrics, times))
    await reading.store(database, reading.report(workload, rows))
    await Compaction(database, reading.TINY).sweep(now=LATER)


async def everything(database, workload="w"):
    """All answers about a workload: curves, counts, thinned curves, points and steps in order."""
    found = []
    for span in (
        Span(workload),
        Span(workload, start_ms=1_010_000, end_ms=2_050_000),
        Span(workload, "other"),
    ):
        async with database.connection() as connection:
            found.append(await reading.through_chunks(connection, span))
        for names in (None, ["b", "step"]):
            rows = [row async for some in curves.rows(database, span, names) for row in some]
            found.append([_compared(row) for row in rows])
        times = progress.iteration_times(database, span)
        steps = [row async for some in times for row in some]
        found.append([_compared(row) for row in steps])
        for axis in ("step", "time"):
            thinned = await curves.columns(database, span, ["a", "b"], axis=axis, most=8)
            found.append([msgspec.json.encode(each) for each in thinned])
    return found


def _compared(row):
    """A point as a reader has it: 5 and 5.0 are one number."""
    plain = msgspec.to_builtins(msgspec.structs.replace(row, value=None))
    value = json.loads(bytes(row.value))
    return plain, repr(float(value))


async def rows_left(database):
    """The steps that have a row."""
    rows = await database.fetch("SELECT iteration FROM training_performance ORDER BY 1")
    return [row["iteration"] for row in rows]


def test_answers_are_the_same_without_rows(database_dsn):
    """Curves, counts, points and steps are what they were when the rows are gone."""

    async def work(database):
        await fill(database)
        before, steps = await everything(database), len(await rows_left(database))
        ranges = await retention.drop_rows(database, before=EVEN_LATER)
        assert await everything(database) == before
        left = len(await rows_left(database))
        return ranges, steps > left > 0

    assert at(database_dsn, work) == (5, True)


def test_nothing_goes_before_its_time(database_dsn):
    """Rows of a range that changed since are kept."""

    async def work(database):
        await fill(database)
        return await retention.drop_rows(database, before=1.0)

    assert at(database_dsn, work) == 0


def test_late_step_merges_with_what_the_chunks_hold(database_dsn):
    """A late metric, and a late value for one, are laid over a step whose row is gone."""

    async def work(database):
        await fill(database)
        await fill(database, workload="same")
        await retention.drop_rows(database, before=EVEN_LATER)
        for workload in ("w", "same"):
            late = [(4, 3000.0, {"a": -1.0, "late": 7}, {}), (5, 3001.0, {"a": 9}, {})]
            await reading.store(database, reading.report(workload, late))
        rebuilt = await everything(database)
        await Compaction(database, reading.TINY).sweep(now=LATER)
        assert await everything(database) == rebuilt
        [row] = await database.fetch(
            "SELECT performance FROM training_performance "
            "WHERE workload_uid = 'w' AND iteration = 4"
        )
        await retention.drop_rows(database, before=EVEN_LATER)
        assert await everything(database) == rebuilt
        return json.loads(row["performance"])

    document = at(database_dsn, work)
    assert (document["a"], document["late"], document["b"]) == (-1.0, 7, "-Infinity")
    assert document["history"][0]["a"] != -1.0
    assert document["history_total"] == 1


def test_identical_repetition_changes_no_answer(database_dsn):
    """What is told again after its rows are gone is what it was."""

    async def work(database):
        await fill(database)
        before = await everything(database)
        await retention.drop_rows(database, before=EVEN_LATER)
        await fill(database)
        assert await everything(database) == before

    at(database_dsn, work)


def test_rows_with_integers_that_chunks_cannot_hold_stay(database_dsn):
    """A range with an integer beyond float64 keeps its rows, digits and all."""

    async def work(database):
        big = 2**53 + 1
        rows = [(step, 1.0, {"a": big if step == 3 else step}, {}) for step in range(40)]
        await reading.store(database, reading.report("w", rows))
        await Compaction(database, reading.TINY).sweep(now=LATER)
        await retention.drop_rows(database, before=EVEN_LATER)
        points = [row async for some in curves.rows(database, Span("w"), None) for row in some]
        return bytes(points[3].value), (await rows_left(database))[:13]

    assert at(database_dsn, work) == (b"9007199254740993", [*range(12), 36])


def test_making_chunks_anew_keeps_what_only_chunks_hold(database_dsn):
    """Rebuilding, and small ranges that become one, leave ranges without rows as they are."""

    async def work(database):
        await fill(database, steps=20)
        await retention.drop_rows(database, before=EVEN_LATER)
        rows = [(step, 4000.0 + step, {"a": step}, {}) for step in range(100, 140)]
        await reading.store(database, reading.report("w", rows))
        before = await everything(database)
        compaction = Compaction(database, reading.TINY)
        await compaction.sweep(now=LATER)
        assert await everything(database) == before
        await compaction.rebuild("w", now=LATER)
        assert await everything(database) == before
        ranges = await database.fetch("SELECT rows_dropped FROM chunk_axis ORDER BY first_step")
        return [row["rows_dropped"] for row in ranges]

    assert at(database_dsn, work) == [True, True, False, False, False, False]


def test_rows_stay_where_the_chunks_tell_otherwise(database_dsn, caplog):
    """Before rows go they are compared; a chunk that is damaged costs nothing."""

    async def work(database):
        await fill(database)
        await database.fetch(
            "UPDATE metrics_storage SET numbers = other.numbers FROM metrics_storage AS other "
            "WHERE metrics_storage.axis_id = 1 AND other.axis_id = 2 "
            "AND metrics_storage.series_id = other.series_id"
        )
        ranges = await retention.drop_rows(database, before=EVEN_LATER)
        return ranges, (await rows_left(database))[:3]

    assert at(database_dsn, work) == (4, [0, 2, 4])
    assert "a has other points" in caplog.records[-1].reason


def test_range_somebody_is_at_work_on_is_left_for_later(database_dsn):
    """A row about to be changed, or another replica's compaction, costs a wait, not a point."""

    async def work(database):
        await fill(database)
        late = reading.report("w", [(4, 3000.0, {"a": -1.0}, {})])
        async with database.connection() as writer, writer.transaction():
            await reading.GroupTransaction(writer, [late]).run()
            dropping = asyncio.create_task(retention.drop_rows(database, before=EVEN_LATER))
            while not await database.fetch(
                "SELECT 1 FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ):
                assert not dropping.done()
        await dropping
        [curve] = await curves.columns(database, Span("w"), ["a"], axis="step", most=None)
        assert curve.value[2] == -1.0
        async with database.connection() as other, other.transaction():
            await other.execute("SELECT pg_advisory_xact_lock(hashtextextended('w/wandb/1', 1))")
            await fill(database, workload="v")
            held = await retention.drop_rows(database, before=EVEN_LATER)
        async with database.connection() as connection:
            assert await dropped.drop(connection, "w", 999) == dropped.BUSY
        return held

    assert at(database_dsn, work) == 5


def test_everything_at_once_ends_in_what_was_told(database_dsn):
    """Writers, late ones among them, compaction and retention at once lose and bend no value."""
    chance = random.Random(11)
    values = {}

    async def write(database):
        for first in range(0, 240, 6):
            late = chance.randrange(first + 6)
            rows = [(s, 1000.0 + s, {"a": float(s)}, {}) for s in range(first, first + 6)]
            values.update({step: value["a"] for step, _, value, _ in rows})
            values[late] = chance.random()
            await reading.store(database, reading.report("w", rows))
            overwrite = [(late, 5000.0 + first, {"a": values[late]}, {})]
            await reading.store(database, reading.report("w", overwrite))

    async def give_up(database, writing):
        while not writing.done():
            await Compaction(database, reading.TINY).sweep(now=LATER)
            await retention.drop_rows(database, before=EVEN_LATER)

    async def work(database):
        writing = asyncio.ensure_future(write(database))
        await asyncio.gather(writing, give_up(database, writing), give_up(database, writing))
        [curve] = await curves.columns(database, Span("w"), ["a"], axis="step", most=None)
        assert dict(zip(curve.step, curve.value, strict=True)) == values
        return await database.fetch("SELECT 1 FROM chunk_axis WHERE rows_dropped LIMIT 1")

    assert at(database_dsn, work)


def test_workload_nobody_hears_of_goes(database_dsn):
    """A workload silent for its term is deleted; one that was heard of is not."""

    async def work(database):
        for workload in ("old", "new"):
            await reading.store(database, reading.report(workload, [(1, 1.0, {"a": 1}, {})]))
        await database.fetch(
            "WITH aged AS (UPDATE run_last SET received_at = now() - interval '10 days' "
            "WHERE workload_uid = 'old') UPDATE training_run "
            "SET first_seen = now() - interval '20 days' WHERE workload_uid = 'old'"
        )
        [(now,)] = await database.fetch("SELECT extract(epoch FROM now())::float8")
        gone = await retention.sweep(database, retention.Terms(workloads=5 * 86_400), now=now)
        left = await database.fetch("SELECT DISTINCT workload_uid FROM training_run")
        return gone.workloads, [row["workload_uid"] for row in left]

    assert at(database_dsn, work) == (1, ["new"])


def numbered(stream, first, moment):
    """One record of a stream, of some time."""
    told = reading.report("w", [(first, moment, {"a": first}, {})])
    return msgspec.structs.replace(told, records=RecordRange(stream, first, first))


async def outcome(database, report):
    """What became of a report."""
    async with database.connection() as connection, connection.transaction():
        [found] = await reading.GroupTransaction(connection, [report]).run()
    return found if isinstance(found, errors.LensError) else found.replayed


def test_forgotten_stream_doubles_nothing(database_dsn):
    """What a forgotten stream tells again is refused; what any stream tells since is taken."""

    async def work(database):
        [(now,)] = await database.fetch("SELECT extract(epoch FROM now())::float8")
        old, recent = now - 100 * 86_400, now - 3600
        for stream in ("gone", "alive"):
            assert await outcome(database, numbered(stream, 1, old)) is False
        await database.fetch(
            "UPDATE ingest_stream SET opened_at = now() - interval '100 days', "
            "updated_at = now() - interval '90 days' * (stream = 'gone')::int"
        )
        terms = retention.Terms(streams=30 * 86_400)
        assert (await retention.sweep(database, terms, now=now)).streams == 1
        refusal = await outcome(database, numbered("gone", 1, old))
        again = await outcome(database, numbered("gone", 2, old))
        return (
            type(refusal),
            type(again),
            await outcome(database, numbered("gone", 3, recent)),
            await outcome(database, numbered("alive", 2, old)),
            await outcome(database, numbered("alive", 1, old)),
            await outcome(database, numbered("import-1", 1, old)),
        )

    late = errors.TooLate
    assert at(database_dsn, work) == (late, late, False, False, True, False)


def test_parked_reports_have_their_term(database_dsn):
    """Reports of a pod that never appears are given up after their term, counted in points."""

    async def work(database):
        told = reading.report("", [(1, 1.0, {"a": 1}, {})])
        sender = msgspec.structs.replace(told.sender, pod_name="nobody")
        await reading.store(database, msgspec.structs.replace(told, sender=sender))
        gone = await retention.sweep(database, retention.Terms(parked=60), now=LATER)
        return gone.parked_reports, gone.parked_points

    assert at(database_dsn, work) == (1, 1)


@pytest.mark.parametrize("change", ["numbers = '\\x00'", "numbers = ''"])
def test_chunk_that_cannot_be_unpacked_is_named(database_dsn, caplog, change):
    """Bytes that are no packed numbers keep the rows they stand for."""

    async def work(database):
        await fill(database, steps=14)
        await database.fetch(f"UPDATE metrics_storage SET {change}")  # noqa: S608 - the test's own
        return await retention.drop_rows(database, before=EVEN_LATER)

    assert at(database_dsn, work) == 0
    assert "cannot be unpacked" in caplog.records[-1].reason
