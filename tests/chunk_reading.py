"""Answers read through chunks, and the same answers read from rows alone, to be compared."""

import contextlib

import numpy as np

from primus_lens.ingest.transaction import GroupTransaction
from primus_lens.model.points import Report, Row, RunId, Sender
from primus_lens.store import chunk_read, points_read
from primus_lens.store.compaction import Sizes
from primus_lens.store.database import Database
from primus_lens.store.points_read import Part, Span

TINY = Sizes(full=12, small=3, unsettled=2, quiet_s=0)
LATER = 4e9  # a moment at which everything has been quiet
KEYS = ["a", "b", "metric:step", "metric:metric:x", "sparse", "none"]
NAMES = ["a", "b", "step", "metric:x", "sparse", "none"]


@contextlib.asynccontextmanager
async def opened(dsn):
    """A database that is there already."""
    database = Database(dsn)
    await database.open(migrate=False)
    try:
        yield database
    finally:
        await database.close()


def report(workload, rows, *, run_id="r", source="wandb"):
    """Rows given as (step, at, metrics, times), as one report."""
    told = [Row(RunId(run_id), source, *row) for row in rows]
    return Report(Sender(workload), told, len(rows), 0, run_id=RunId(run_id), data_source=source)


async def store(database, *reports):
    """Store reports as intake does: one transaction."""
    async with database.connection() as connection, connection.transaction():
        await GroupTransaction(connection, reports).run()


def column(array):
    """A column that equals another only bit for bit."""
    return array.dtype.str, array.tobytes()


async def through_chunks(connection, span):
    """Series, counts and sources, the way they are served."""
    found = (await chunk_read.series(connection, span, NAMES)).unpacked()
    series = [
        (
            *(each.metric, each.data_source, each.serial, each.run_id),
            *map(column, (each.steps, each.times, each.values)),
        )
        for each in found
    ]
    available = await chunk_read.available(connection, span.workload_uid, span.data_source)
    return series, available, await chunk_read.sources(connection, span.workload_uid)


async def through_rows(connection, span):
    """The same out of training_performance alone."""
    runs = await connection.fetch(
        "SELECT DISTINCT data_source, serial, run_id FROM training_performance "
        "JOIN training_run USING (workload_uid, serial) WHERE workload_uid = $1 "
        "AND ($2 = '' OR data_source = $2)",
        *(span.workload_uid, span.data_source),
    )
    first = 0 if span.from_step is None else span.from_step
    last = 2**63 - 1 if span.to_step is None else span.to_step
    parts = [Part(run["data_source"], run["serial"], first, last) for run in runs]
    run_ids = {(run["data_source"], run["serial"]): run["run_id"] for run in runs}
    rows = await points_read.series(connection, span, KEYS, parts)
    series = [
        (
            *(NAMES[KEYS.index(row["key"])], row["data_source"], row["serial"]),
            run_ids[row["data_source"], row["serial"]],
            column(np.array(row["steps"], dtype=np.int64)),
            column(np.array(row["times"], dtype=np.int64)),
            column(np.array(row["values"], dtype=np.float64)),
        )
        for row in sorted(rows, key=lambda row: (row["key"], row["data_source"], row["serial"]))
    ]
    whole = [Part(run["data_source"], run["serial"], 0, 2**63 - 1) for run in runs]
    counts = {}
    for row in await points_read.available(connection, span.workload_uid, whole):
        name = row["key"].removeprefix("metric:")
        counts.setdefault(name, {})[row["data_source"]] = row["count"]
    available = [(name, sorted(of), sum(of.values())) for name, of in sorted(counts.items())]
    steps = await connection.fetch(
        "SELECT data_source, count(*) FROM training_performance "
        "WHERE workload_uid = $1 GROUP BY 1 ORDER BY 1",
        span.workload_uid,
    )
    return series, available, [tuple(row) for row in steps]


async def both_ways(database, span):
    """Both answers to one question, of one moment."""
    async with (
        database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        return await through_chunks(connection, span), await through_rows(connection, span)


async def assert_agree(database, workload):
    """Whole, by source, and cut by steps and by time, chunks tell what rows tell."""
    for span in (
        Span(workload),
        Span(workload, "other"),
        Span(workload, start_ms=1_010_000, end_ms=1_030_500),
        Span(workload, start_ms=1_020_000),
        Span(workload, from_step=7, to_step=23),
        Span(workload, to_step=11),
    ):
        served, expected = await both_ways(database, span)
        assert served == expected, span
