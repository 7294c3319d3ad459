"""What can be known of Citus without one: keys, conflicts and questions hold workload_uid."""

import asyncio
import os
import re

import asyncpg
import chunk_reading as reading
import pytest

from primus_lens.store import statements
from primus_lens.store.compaction import Compaction
from primus_lens.store.database import Database

CITUS = os.environ.get("LENS_TEST_CITUS_DSN")
STATEMENTS = {
    f"{file.name}: {name}": text
    for file in statements.SQL_FILES.iterdir()
    if file.name.endswith(".sql") and file.name != "distribution.sql"
    for name, text in statements.load(file.name).items()
}

# Asked of all workloads at once, by a sweep; every node answers.
OF_ALL_WORKLOADS = {"changes.sql: forget"}


async def fetched(dsn, question):
    """The rows of a question."""
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch(question)
    await connection.close()
    return rows


def spread(dsn):
    """The tables that are spread over nodes."""
    rows = asyncio.run(
        fetched(
            dsn,
            "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace "
            "JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'workload_uid' "
            "WHERE nspname = 'public' AND relkind = 'r' AND relname <> 'pod_cache'",
        )
    )
    return {row["relname"] for row in rows}


def test_every_unique_key_holds_the_workload(database_dsn):
    """A node can tell alone whether a key of its tables is there already."""
    tables = spread(database_dsn)
    keys = asyncio.run(
        fetched(
            database_dsn,
            "SELECT c.relname, i.indexrelid::regclass::text AS name, array_agg(a.attname::text) AS "
            "columns FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid "
            "JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = ANY(i.indkey) "
            "WHERE i.indisunique GROUP BY 1, 2",
        )
    )
    found = [row for row in keys if row["relname"] in tables]
    assert len(found) >= len(tables) > 8
    assert [row["name"] for row in found if "workload_uid" not in row["columns"]] == []


@pytest.mark.parametrize("name", STATEMENTS)
def test_conflicts_are_settled_without_the_clock(name):
    """No statement asks for the time while it settles a conflict: nodes' clocks differ."""
    _, _, settled = STATEMENTS[name].partition("DO UPDATE")
    assert not re.search(r"\b(now|clock_timestamp|statement_timestamp)\s*\(|current_", settled)


def test_statements_say_whose_rows_they_mean(database_dsn):
    """Each statement on a table that is spread names workload_uid, so that one node is asked."""
    tables = spread(database_dsn)
    silent = {
        name
        for name, text in STATEMENTS.items()
        if any(re.search(rf"\b(FROM|JOIN|INTO|UPDATE)\s+{table}\b", text) for table in tables)
        and "workload_uid" not in text
    }
    assert silent == OF_ALL_WORKLOADS


@pytest.mark.skipif(not CITUS, reason="LENS_TEST_CITUS_DSN names no coordinator")
def test_coordinator_spreads_the_tables_and_answers_alike():  # pragma: no cover - needs Citus
    """On a Citus coordinator tables are spread, and chunks and rows tell the same."""

    async def scenario():
        database = Database(CITUS)
        await database.open()
        rows = [(step, 1000.0 + step, {"a": step / 3}, {}) for step in range(60)]
        await reading.store(database, reading.report("w", rows))
        await Compaction(database, reading.TINY).sweep(now=reading.LATER)
        await reading.assert_agree(database, "w")
        await database.close()
        spread_tables = await fetched(CITUS, "SELECT logicalrelid::text FROM pg_dist_partition")
        return {row[0] for row in spread_tables}

    assert asyncio.run(scenario()) >= spread(CITUS)
