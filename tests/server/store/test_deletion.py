"""A workload goes with everything stored of it, beside whoever is at work on it."""

import asyncio
import random

import chunk_reading as reading
import msgspec
import pytest

from primus_lens.ingest.evidence import merge_report
from primus_lens.model.alerts import Finding, WatchedRun
from primus_lens.model.detections import Evidence, Hints
from primus_lens.model.pods import Pod
from primus_lens.model.points import Gap, RecordRange, Report, Row, RunId, Sender
from primus_lens.store import deletion, ingest_health, pods, watch
from primus_lens.store.compaction import Compaction
from primus_lens.store.detections import SourceReport


async def fill(database, workload):
    """Something of a workload in every table."""
    rows = [(step, 1000.0 + step, {"a": step}, {}) for step in range(40)]
    await reading.store(
        database, reading.report(workload, rows), reading.report(workload, rows[:3], run_id="s")
    )
    gap = Report(Sender(workload), [], 0, 0, run_id=RunId("r"), gaps=[Gap(1, 2, "spool_full")])
    await reading.store(database, gap)
    await Compaction(database, reading.TINY).sweep(now=reading.LATER)
    row = Row(RunId("r"), "wandb", 1, 1.0, {"a": 1}, {})
    await reading.store(database, Report(Sender("", f"u-{workload}", "p", "ns"), [row], 1, 0))
    async with database.connection() as connection, connection.transaction():
        said = SourceReport(1.0, Evidence(), Hints())
        await merge_report(connection, workload, "wandb", said, now=1.0)
        await pods.add(connection, [Pod(workload, "ns", "p", f"u-{workload}")], now=1.0)
        run = WatchedRun(workload, "wandb", 1)
        finding = Finding("stall", "", 1, 1.0, 1, 1.0, "open", "nothing came")
        await watch.note_alerts(connection, {run: [finding]}, now=1.0)
        await watch.save_states(connection, {run: b""}, now=1.0)
        await watch.put_setting(connection, workload, watch.WatchSetting(), now=1.0)
        await ingest_health.note_stream(
            connection, workload_uid=workload, serial=1, stream=workload
        )


async def tables_of(database, workload):
    """How many rows each table holds of a workload; what is parked for its pods, too."""
    names = await database.fetch(
        "SELECT table_name FROM information_schema.columns JOIN information_schema.tables "
        "USING (table_schema, table_name) WHERE table_schema = 'public' "
        "AND table_type = 'BASE TABLE' AND column_name = 'workload_uid' ORDER BY 1"
    )
    found = {}
    for (name,) in names:
        question = f"SELECT count(*) FROM {name} WHERE workload_uid = $1"  # noqa: S608 - a table
        [(found[name],)] = await database.fetch(question, workload)
    [(found["parked_report"],)] = await database.fetch(
        "SELECT count(*) FROM parked_report WHERE pod_uid = $1", f"u-{workload}"
    )
    return found


def at(database_dsn, work):
    """What some work on the database returns."""

    async def scenario():
        async with reading.opened(database_dsn) as database:
            return await work(database)

    return asyncio.run(scenario())


def test_everything_of_a_workload_goes_and_nothing_else(database_dsn, monkeypatch):
    """Every table that knows workloads loses this one, in small bites, and keeps the other."""
    monkeypatch.setattr(deletion, "AT_ONCE", 7)

    async def work(database):
        for workload in ("w", "other"):
            await fill(database, workload)
        before = await tables_of(database, "other")
        filled = await tables_of(database, "w")
        gone = await deletion.delete_workload(database, "w")
        left = await tables_of(database, "w")
        assert await tables_of(database, "other") == before
        return filled, gone, left, await deletion.delete_workload(database, "w")

    filled, gone, left, again = at(database_dsn, work)
    assert all(filled.values()), "fill() leaves a table empty that knows workloads"
    assert not any(left.values())
    assert sum(gone.values()) == sum(filled.values())
    assert not any(again.values())


def test_report_that_waits_for_two_workloads_stays_for_the_other(database_dsn):
    """What is parked for a pod of several workloads goes only with the last of them."""

    async def work(database):
        await fill(database, "w")
        async with database.connection() as connection:
            await pods.add(connection, [Pod("v", "ns", "p", "u-w")], now=1.0)
        first = (await deletion.delete_workload(database, "w"))["parked_reports"]
        return first, (await deletion.delete_workload(database, "v"))["parked_reports"]

    assert at(database_dsn, work) == (0, 1)


def test_job_that_reports_on_begins_the_workload_anew(database_dsn):
    """After a deletion the next report is the first of serial 1."""

    async def work(database):
        await fill(database, "w")
        await deletion.delete_workload(database, "w")
        await reading.store(database, reading.report("w", [(7, 1.0, {"a": 1}, {})]))
        await reading.assert_agree(database, "w")
        return await database.fetch("SELECT serial, iteration FROM training_performance")

    assert at(database_dsn, work) == [(1, 7)]


def test_what_was_imported_may_be_imported_again(database_dsn):
    """After a deletion a file can be imported anew; what jobs delivered stays known."""

    async def work(database):
        reports = [
            msgspec.structs.replace(
                reading.report("w", [(step, 1.0, {"a": step}, {})]),
                records=RecordRange(stream, step, step),
            )
            for stream, step in (("import-1", 1), ("import-1", 2), ("spool-1", 3))
        ]
        for _ in range(2):
            await reading.store(database, *reports)
            left = await database.fetch("SELECT iteration FROM training_performance ORDER BY 1")
            await deletion.delete_workload(database, "w")
        return [step for (step,) in left]

    assert at(database_dsn, work) == [1, 2]


def test_deletion_waits_for_whoever_stores(database_dsn):
    """A report that found its run before the deletion is stored and deleted, run and all."""

    async def work(database):
        await fill(database, "w")
        late = reading.report("w", [(99, 1.0, {"a": 1}, {})])
        async with database.connection() as writer, writer.transaction():
            await reading.GroupTransaction(writer, [late]).run()
            deleting = asyncio.create_task(deletion.delete_workload(database, "w"))
            while not await database.fetch(
                "SELECT 1 FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ):
                assert not deleting.done()
        await deleting
        return await tables_of(database, "w")

    assert not any(at(database_dsn, work).values())


@pytest.mark.timeout(60)
def test_deletion_beside_ingest_and_compaction_leaves_no_half(database_dsn):
    """Whatever meets, every step that is stored has its run, and a last deletion leaves nothing."""
    chance = random.Random(5)

    async def write(database, run_id):
        for first in range(0, 240, 6):
            rows = [(s, 1000.0 + s, {"a": chance.random()}, {}) for s in range(first, first + 6)]
            await reading.store(database, reading.report("w", rows, run_id=run_id))

    async def compact(database, writing):
        while not writing.done():
            await Compaction(database, reading.TINY).sweep(now=reading.LATER)

    async def delete(database, writing):
        while not writing.done():
            await deletion.delete_workload(database, "w")
            orphans = await database.fetch(
                "SELECT 1 FROM training_performance AS stored "
                "LEFT JOIN training_run AS run USING (workload_uid, serial) "
                "LEFT JOIN run_last AS last USING (workload_uid, data_source, serial) "
                "WHERE run.serial IS NULL OR last.serial IS NULL"
            )
            assert not orphans
            await reading.assert_agree(database, "w")

    async def work(database):
        writing = asyncio.gather(*(write(database, f"r{n}") for n in range(3)))
        await asyncio.gather(writing, compact(database, writing), delete(database, writing))
        await deletion.delete_workload(database, "w")
        return await tables_of(database, "w")

    assert not any(at(database_dsn, work).values())
