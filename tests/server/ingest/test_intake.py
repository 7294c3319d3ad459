"""The group commit, over a database of its own."""

import asyncio
import contextlib
import json

import asyncpg
import pytest

from primus_lens.ingest.intake import MEMORY_OF_TEXT, Intake
from primus_lens.model import errors
from primus_lens.model.points import Receipt, RecordRange, Report, Row, RunId, Sender
from primus_lens.store import points_write
from primus_lens.store.database import Database, DataRefused


@contextlib.asynccontextmanager
async def running(dsn, *, pending_bytes=1 << 20, **options):
    """An intake on a database, drained at the end."""
    database = Database(dsn)
    await database.open(migrate=False)
    intake = Intake(database, pending_bytes=pending_bytes, **options)
    intake.start()
    try:
        yield intake
    finally:
        await intake.drain()
        await database.close()


def report(workload="w", *, step=0, value=1.0, run_id="r", records=None):
    """One row of one metric."""
    row = Row(RunId(run_id), "wandb", step, 1000.0 + step, {"loss": value}, {})
    return Report(Sender(workload), [row], 1, 100, records, run_id=RunId(run_id))


async def rows(dsn):
    """Everything stored: workload, serial, step, document."""
    connection = await asyncpg.connect(dsn)
    found = await connection.fetch(
        "SELECT workload_uid, serial, iteration, performance "
        "FROM training_performance ORDER BY 1, 2, 3"
    )
    await connection.close()
    return [tuple(row) for row in found]


def test_what_waits_together_is_stored_together(database_dsn):
    """Reports submitted at once are all acknowledged and all there, in few transactions."""

    async def scenario():
        async with running(database_dsn) as intake:
            sent = [intake.store(report(f"w{i % 7}", step=i)) for i in range(200)]
            receipts = await asyncio.gather(*sent)
        return receipts, await rows(database_dsn)

    receipts, stored = asyncio.run(scenario())
    assert receipts == [Receipt(workloads=1)] * 200
    assert len(stored) == 200


def test_report_that_postgresql_refuses_fails_alone(database_dsn):
    """A poison report takes no neighbour of its group with it."""
    poison = report("w" * 300)  # longer than the column; the wire would have refused it

    async def scenario():
        async with running(database_dsn) as intake:
            sent = [intake.store(report(step=i)) for i in range(20)]
            sent.insert(11, intake.store(poison))
            outcomes = await asyncio.gather(*sent, return_exceptions=True)
        return outcomes, await rows(database_dsn)

    outcomes, stored = asyncio.run(scenario())
    assert isinstance(outcomes.pop(11), DataRefused)
    assert outcomes == [Receipt(workloads=1)] * 20
    assert [row[2] for row in stored] == list(range(20))


def test_report_that_meets_a_bug_of_ours_fails_alone(database_dsn, monkeypatch, caplog):
    """An error that nobody foresaw is answered to the one report that causes it."""
    merge_steps = points_write.merge_steps

    async def fragile(connection, placed):
        if any(each.workload_uid == "poison" for each in placed):
            raise KeyError("a bug")
        await merge_steps(connection, placed)

    monkeypatch.setattr(points_write, "merge_steps", fragile)

    async def scenario():
        async with running(database_dsn) as intake:
            workloads = ["poison" if i == 5 else f"w{i}" for i in range(9)]
            sent = [intake.store(report(workload)) for workload in workloads]
            outcomes = await asyncio.gather(*sent, return_exceptions=True)
        return outcomes, await rows(database_dsn)

    outcomes, stored = asyncio.run(scenario())
    [defect] = [each for each in outcomes if not isinstance(each, Receipt)]
    assert isinstance(defect, errors.Defect)
    assert outcomes.index(defect) == 5
    assert len(stored) == 8
    assert "a bug" in caplog.text


def test_values_of_one_group_keep_their_order(database_dsn):
    """The last of several values for a step wins; the others are its history, in order."""

    async def scenario():
        async with running(database_dsn) as intake:
            await asyncio.gather(*(intake.store(report(value=value)) for value in (3, 1, 2)))
        return await rows(database_dsn)

    [(_, _, _, performance)] = asyncio.run(scenario())
    document = json.loads(performance)
    assert document["loss"] == 2
    assert [entry["loss"] for entry in document["history"]] == [3, 1]


def test_same_records_in_one_group_are_stored_once(database_dsn):
    """A retry that meets its original in the same transaction is a replay."""
    records = RecordRange("s", 1, 1)

    async def scenario():
        async with running(database_dsn) as intake:
            return await asyncio.gather(
                intake.store(report(value=1, records=records)),
                intake.store(report(value=2, records=records)),
            )

    first, second = asyncio.run(scenario())
    assert not first.replayed
    assert second.replayed


def test_two_replicas_number_runs_without_clashing(database_dsn):
    """Two intakes that meet the same new runs agree on their serials and store every row."""

    async def scenario():
        async with running(database_dsn) as one, running(database_dsn) as other:
            sent = [
                intake.store(report("w", step=step, run_id=f"r{step % 5}", value=float(i)))
                for step in range(50)
                for i, intake in enumerate((one, other))
            ]
            await asyncio.gather(*sent)
        return await rows(database_dsn)

    stored = asyncio.run(scenario())
    assert len(stored) == 50
    assert {row[1] for row in stored} == {1, 2, 3, 4, 5}


def full_at(intake, declared, *taken):
    """Take room for one body; returns the refusal that comes, None when it fits."""
    try:
        with intake.room(declared) as take:
            for size in taken:
                take(size)
    except errors.IntakeFull as full:
        return full
    return None


def test_room_is_bounded(database_dsn):
    """Beyond the bound senders are told when to come back; room is given back after an answer."""

    async def scenario():
        async with running(database_dsn, pending_bytes=1000 * MEMORY_OF_TEXT) as intake:
            with intake.room(900) as take:
                take(900)
                announced, came = full_at(intake, 200), full_at(intake, 0, 100, 1)
            return announced, came, full_at(intake, 1000, 1000)

    announced, came, afterwards = asyncio.run(scenario())
    assert announced.retry_after_s >= 1
    assert came.retry_after_s >= 1
    assert afterwards is None


def test_announced_bytes_hold_no_room(database_dsn):
    """Who announces much and sends little keeps nobody out; a body that is alone always fits."""

    async def scenario():
        async with running(database_dsn, pending_bytes=1000 * MEMORY_OF_TEXT) as intake:
            with intake.room(10_000):
                return full_at(intake, 1000, 1000), full_at(intake, 2000, 2000)

    assert asyncio.run(scenario()) == (None, None)


def test_stopping_server_takes_nothing_new(database_dsn):
    """Once it drains, senders are told to come back."""

    async def scenario():
        async with running(database_dsn) as intake:
            await intake.drain()
            return full_at(intake, 10)

    assert "stopping" in asyncio.run(scenario()).message


def test_lost_database_is_try_later(database_dsn):
    """While PostgreSQL is away nothing is acknowledged; afterwards the same intake goes on."""

    async def scenario():
        database = Database(database_dsn)
        await database.open(migrate=False)
        intake = Intake(database, pending_bytes=1000)
        intake.start()
        await intake.store(report(step=1))
        await database.close()
        with pytest.raises(errors.StoreUnavailable):
            await intake.store(report(step=2))
        await database.open(migrate=False)
        await intake.store(report(step=3))
        await intake.drain()
        await database.close()
        return await rows(database_dsn)

    assert [row[2] for row in asyncio.run(scenario())] == [1, 3]


def test_unknown_pods_can_be_rejected(database_dsn):
    """`workloads.unknown_pods: reject` refuses in the specification's words."""
    unknown = Report(Sender(pod_name="p"), [], 0, 10)

    async def scenario():
        async with running(database_dsn, reject_unknown_pods=True) as intake:
            await intake.store(unknown)

    with pytest.raises(errors.UnknownWorkload, match="no valid workload found: pod p"):
        asyncio.run(scenario())
