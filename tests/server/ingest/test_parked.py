"""Reports of unseen pods: whose they turn out to be, and that their order is kept."""

import asyncio
import contextlib

import chunk_reading as reading
import pytest

from primus_lens.ingest import parked
from primus_lens.model import errors
from primus_lens.model.pods import Pod
from primus_lens.model.points import Report, Row, RunId, Sender
from primus_lens.store import pods


def report(sender, step, value, run_id="r"):
    """One row of one metric of some sender."""
    row = Row(RunId(run_id), "wandb", step, 1000.0 + step, {"loss": value}, {})
    return Report(sender, [row], 1, 100, run_id=RunId(run_id))


async def stored(database):
    """What every workload has: (workload, step) to the loss."""
    rows = await database.fetch(
        "SELECT workload_uid, iteration, performance ->> 'loss' AS loss FROM training_performance"
    )
    return {(row["workload_uid"], row["iteration"]): float(row["loss"]) for row in rows}


NOW = 1e9


async def attach_all(database, *, now=NOW):
    """Attach until nothing is left; the number of refused reports."""
    refused = 0
    while (attached := await parked.attach(database, now=now)) != parked.NOTHING:
        refused += attached.refused
    return refused


POD = Sender("", "u", "p", "ns")


def at(database_dsn, work):
    """What some work on the database returns."""

    async def scenario():
        async with reading.opened(database_dsn) as database:
            return await work(database)

    return asyncio.run(scenario())


def test_report_queues_behind_those_of_its_pod_that_wait(database_dsn):
    """A pod that becomes known in the middle of a stream has the newest value at every step."""

    async def work(database):
        await reading.store(database, report(POD, 0, 1.0))
        await pods.put(database, [Pod("w", "ns", "p", "u")])
        await reading.store(database, report(POD, 0, 2.0))
        assert await stored(database) == {}
        assert await attach_all(database) == 0
        await reading.store(database, report(POD, 1, 3.0))
        return await stored(database), await database.fetch("SELECT * FROM parked_report")

    assert at(database_dsn, work) == ({("w", 0): 2.0, ("w", 1): 3.0}, [])


def test_one_replica_at_a_time_attaches(database_dsn):
    """While another replica attaches, there is nothing to do; order would be lost."""

    async def work(database):
        await reading.store(database, report(POD, 0, 1.0))
        await pods.put(database, [Pod("w", "ns", "p", "u")])
        async with database.connection() as other, other.transaction():
            assert await pods.claim_parked(other, most=1, now=NOW)
            meanwhile = await parked.attach(database, now=NOW)
        return meanwhile, await parked.attach(database, now=NOW)

    assert at(database_dsn, work) == (parked.NOTHING, parked.Attached(1))


@pytest.mark.parametrize(
    "poison",
    [
        "UPDATE parked_report SET body = 'not JSON' WHERE id = $1",
        """UPDATE parked_report SET body = replace(convert_from(body, 'UTF8'), '"wandb"',
           to_jsonb(repeat('x', 60))::text)::bytea WHERE id = $1""",
    ],
    ids=["unreadable", "refused"],
)
def test_report_that_cannot_be_stored_holds_up_no_other(database_dsn, poison, caplog):
    """A parked report that is unreadable, or that PostgreSQL refuses, is given up alone."""

    async def work(database):
        for step in range(5):
            await reading.store(database, report(POD, step, float(step)))
        await pods.put(database, [Pod("w", "ns", "p", "u")])
        [(third,)] = await database.fetch(
            "SELECT id FROM parked_report ORDER BY id LIMIT 1 OFFSET 2"
        )
        await database.fetch(poison, third)
        return await attach_all(database), await stored(database)

    assert at(database_dsn, work) == (1, {("w", step): float(step) for step in (0, 1, 3, 4)})
    assert "a parked report is given up" in caplog.text


BUG = (
    """CREATE FUNCTION meet_a_bug() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'a bug below the route'; END $$""",
    """CREATE TRIGGER bug BEFORE INSERT ON training_performance
    FOR EACH ROW WHEN (NEW.iteration = 13) EXECUTE FUNCTION meet_a_bug()""",
)
MENDED = "DROP TRIGGER bug ON training_performance"
OTHER_POD = Sender("", "v", "q", "ns")


async def park_around_a_bug(database):
    """Reports of two pods, one of which will meet a bug; then the pods are known."""
    for statement in BUG:
        await database.fetch(statement)
    for sender, step, value, run_id in (
        (POD, 12, 1.0, "r"),
        (POD, 13, 2.0, "r"),
        (OTHER_POD, 12, 3.0, "another pod's"),
        (POD, 12, 4.0, "r"),
        (POD, 12, 5.0, "another"),
    ):
        await reading.store(database, report(sender, step, value, run_id))
    await pods.put(database, [Pod("w", "ns", "p", "u"), Pod("v", "ns", "q", "v")])


async def stored_of_runs(database):
    """What every run has: (run, step) to the loss."""
    rows = await database.fetch(
        "SELECT run_id, iteration, (performance ->> 'loss')::float8 AS loss "
        "FROM training_performance JOIN training_run USING (workload_uid, serial)"
    )
    return {(row["run_id"], row["iteration"]): row["loss"] for row in rows}


def test_report_that_meets_a_bug_holds_up_only_its_run(database_dsn, caplog):
    """It is set aside with what came later of its run, other runs and pods go on; it is told once.

    Tried again when the bug is mended, it is stored before what waits behind it.
    """

    async def work(database):
        await park_around_a_bug(database)
        assert await parked.attach(database, now=NOW) == parked.Attached(3, set_aside=1)
        assert await parked.attach(database, now=NOW) == parked.NOTHING
        before = await stored_of_runs(database)
        later = NOW + parked.RETRY_S
        assert await parked.attach(database, now=later) == parked.Attached(set_aside=1)
        await database.fetch(MENDED)
        assert await parked.attach(database, now=later) == parked.NOTHING
        await attach_all(database, now=later + parked.RETRY_S)
        assert await database.fetch("SELECT FROM parked_report") == []
        return before, await stored_of_runs(database)

    others = {("another", 12): 5.0, ("another pod's", 12): 3.0}
    before, after = at(database_dsn, work)
    assert before == {("r", 12): 1.0, **others}
    assert after == {("r", 12): 4.0, ("r", 13): 2.0, **others}
    assert caplog.text.count("met a bug of the server and is set aside") == 1


def test_report_that_makes_our_code_fail_is_set_aside_too(database_dsn):
    """A bug of Python's side, here at a time that no calendar holds, is one like PostgreSQL's."""

    async def work(database):
        for run_id in ("r", "another"):
            await reading.store(database, report(POD, 12, 1.0, run_id))
        await database.fetch(
            "UPDATE parked_report SET body = "
            "replace(convert_from(body, 'UTF8'), '1012.0', '1e300')::bytea WHERE run_id = 'r'"
        )
        await pods.put(database, [Pod("w", "ns", "p", "u")])
        return await parked.attach(database, now=NOW), await stored_of_runs(database)

    assert at(database_dsn, work) == (parked.Attached(1, set_aside=1), {("another", 12): 1.0})


def test_report_parked_by_the_version_before_is_overtaken_by_none_of_its_pod(database_dsn):
    """Its run is not known, so all that came later of its pod waits for it; other pods go on."""

    async def work(database):
        await park_around_a_bug(database)
        await database.fetch("UPDATE parked_report SET run_id = NULL WHERE body LIKE '%:13,%'")
        assert await parked.attach(database, now=NOW) == parked.Attached(2, set_aside=1)
        assert await attach_all(database) == 0
        return await stored_of_runs(database)

    assert at(database_dsn, work) == {("r", 12): 1.0, ("another pod's", 12): 3.0}


def test_report_that_names_workload_and_pod_teaches(database_dsn):
    """What one report says of its pod is known to the next one, which names the pod alone."""

    async def work(database):
        await reading.store(database, report(Sender("w", "u", "p", "ns"), 0, 1.0))
        await reading.store(database, report(Sender("", "u", "", ""), 1, 2.0))
        return await stored(database)

    assert at(database_dsn, work) == {("w", 0): 1.0, ("w", 1): 2.0}


def test_bare_name_teaches_nothing(database_dsn):
    """A host's name without namespace and uid may be many a pod's."""

    async def work(database):
        await reading.store(database, report(Sender("w", "", "localhost", ""), 0, 1.0))
        return await database.fetch("SELECT * FROM pod_cache")

    assert at(database_dsn, work) == []


async def homes(database, *, known, asked):
    """The workloads of a sender when some pods are known, each since a second after the last."""
    async with database.connection() as connection:
        for second, pod in enumerate(known):
            await pods.add(connection, [pod], now=1000.0 + second)
        [found] = await pods.workloads_of(connection, [asked])
    return found


@pytest.mark.parametrize(
    "known, asked, expected",
    [
        ([Pod("w", "ns", "p", "u")], Sender("", "u", "another", "other"), ["w"]),
        ([Pod("w", "ns", "p", "u")], Sender("", "v", "p", "ns"), []),
        ([Pod("w", "ns", "p", "u")], Sender("", "", "p", "ns"), ["w"]),
        ([Pod("w", "ns", "p")], Sender("", "v", "p", "ns"), ["w"]),
        ([Pod("w", "ns", "p")], Sender("", "", "p", "other"), []),
        ([Pod("w", "", "p")], Sender("", "", "p", "other"), ["w"]),
        (
            [Pod("v", "ns", "p", "u"), Pod("w", "ns", "p", "u")],
            Sender("", "u", "p", "ns"),
            ["v", "w"],
        ),
        ([Pod("v", "ns", "p", "u1"), Pod("w", "ns", "p", "u2")], Sender("", "", "p", "ns"), ["w"]),
        ([Pod("v", "a", "p", "u1"), Pod("w", "b", "p", "u2")], Sender("", "", "p", ""), ["v", "w"]),
        ([Pod("w", "ns", "", "u")], Sender("", "", "", ""), []),
    ],
    ids=[
        "a uid is decisive",
        "another uid is another pod",
        "a name without uid",
        "no uid known matches any",
        "another namespace",
        "no namespace known matches any",
        "several workloads",
        "a name means its newest life",
        "a name without namespace",
        "nothing named",
    ],
)
def test_workloads_of_a_pod(database_dsn, known, asked, expected):
    """Uid, namespace and name lead to the workloads they mean."""
    assert at(database_dsn, lambda db: homes(db, known=known, asked=asked)) == expected


def test_old_parked_reports_are_given_up_and_counted(database_dsn):
    """What was parked before a moment goes, with the number of its points."""

    async def work(database):
        for step in range(3):
            await reading.store(database, report(POD, step, 1.0))
        async with database.connection() as connection:
            early = await pods.expire_parked(connection, before=1.0, most=10)
            some = await pods.expire_parked(connection, before=4e9, most=2)
            rest = await pods.expire_parked(connection, before=4e9, most=2)
        return early, some, rest

    assert at(database_dsn, work) == (pods.Expired(0, 0), pods.Expired(2, 2), pods.Expired(1, 1))


def test_savepoint_of_a_lost_database_is_no_refusal(database_dsn):
    """A connection that dies while reports are attached is not the reports' fault."""

    async def work(database):
        await reading.store(database, report(POD, 0, 1.0))
        await pods.put(database, [Pod("w", "ns", "p", "u")])
        with contextlib.suppress(errors.StoreUnavailable):
            async with database.connection() as connection, connection.transaction():
                found = await pods.claim_parked(connection, most=1, now=NOW)
                await connection.close()
                await parked._Batch(connection, NOW).store(found)
        return await attach_all(database), await stored(database)

    assert at(database_dsn, work) == (0, {("w", 0): 1.0})
