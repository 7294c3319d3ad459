"""Names to choose from and events of runs, for Grafana's variables and annotations.

Cheap whatever was logged: all of it stands in one row a run. Comes before query/panels.
"""

from collections.abc import Collection, Sequence

import asyncpg

from primus_lens.store import statements

_SQL = statements.load("grafana.sql")


async def known_workloads(connection: asyncpg.Connection, uids: Collection[str]) -> set[str]:
    """Which of some uids have reported."""
    rows = await connection.fetch(_SQL["known_workloads"], sorted(uids))
    return {row["workload_uid"] for row in rows}


async def newest_workloads(connection: asyncpg.Connection, most: int) -> list[tuple[str, str]]:
    """The uid and name of the workloads last heard of; the uid again without a name."""
    rows = await connection.fetch(_SQL["newest_workloads"], most)
    return [(row["workload_uid"], row["name"] or row["workload_uid"]) for row in rows]


async def metric_names(
    connection: asyncpg.Connection, workloads: Sequence[str], most: int
) -> list[tuple[str, str]]:
    """The metrics of some workloads: uid and name."""
    rows = await connection.fetch(_SQL["metric_names"], workloads, most)
    return [(row["workload_uid"], row["name"]) for row in rows]


async def sources_and_runs(
    connection: asyncpg.Connection, workloads: Sequence[str], most: int
) -> list[tuple[str, str]]:
    """The data source and run id of every run of some workloads."""
    rows = await connection.fetch(_SQL["sources_and_runs"], workloads, most)
    return [(row["data_source"], row["run_id"]) for row in rows]


async def events(
    connection: asyncpg.Connection,
    workloads: Sequence[str] | None,
    *,
    start_s: float,
    end_s: float,
    most: int,
) -> list[asyncpg.Record]:
    """What happened to runs, in order of time; workloads: None for all.

    Returns workload_uid, run_id, serial, kind (started, restarted, ended), at (Unix seconds), name,
    state, exit_code.
    """
    rows: list[asyncpg.Record] = await connection.fetch(
        _SQL["events"], workloads, start_s, end_s, most
    )
    return rows


async def alerts(
    connection: asyncpg.Connection,
    workloads: Sequence[str] | None,
    *,
    start_s: float,
    end_s: float,
    most: int,
) -> list[asyncpg.Record]:
    """The alerts of the watch that began in a range, in order of time; workloads: None for all.

    Returns workload_uid, run_id, kind, metric, text, at, until (None while open; Unix seconds).
    """
    rows: list[asyncpg.Record] = await connection.fetch(
        _SQL["alerts"], workloads, start_s, end_s, most
    )
    return rows


async def newest_values(
    connection: asyncpg.Connection, *, since: float, most: int
) -> list[asyncpg.Record]:
    """The newest values of runs that say they run, the last heard first. since: Unix seconds.

    Returns workload_uid, run_id, data_source, last_step, target_step, last_at, last_values (JSON).
    """
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["newest_values"], since, most)
    return rows
