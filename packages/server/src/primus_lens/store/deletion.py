"""A workload goes, with everything that is stored of it.

First its steps and chunks in small transactions, beside a running ingest; then what is left, under
locks, in one: whoever stores points of a run holds its row of training_run (find_runs), so either
he has committed and goes along, or he waits and finds no such run. A job that reports on begins the
workload anew. What a job's stream has delivered stays known, so that no late repetition brings back
what was deleted; what was imported is forgotten at last, since whoever imports it again means it.
Killed anywhere, the next call goes on.
"""

from primus_lens.model.points import IMPORT_STREAM
from primus_lens.store import statements
from primus_lens.store.database import Database

_SQL = statements.load("deletion.sql")
_RUNS = statements.load("runs.sql")

AT_ONCE = 5_000  # rows a transaction: some 50 ms

_REST = (
    ("steps", _SQL["rest_of_steps"]),
    ("ranges", _SQL["rest_of_ranges"]),
    ("chunks", _SQL["rest_of_chunks"]),
    ("metrics", _SQL["rest_of_series"]),
    ("latest_values", _SQL["rest_of_latest"]),
    ("changes", _SQL["rest_of_changes"]),
    ("runs", _SQL["rest_of_runs"]),
    ("detections", _SQL["rest_of_detections"]),
    ("gaps", _SQL["rest_of_gaps"]),
    ("alerts", _SQL["rest_of_alerts"]),
    ("watch_states", _SQL["rest_of_watch_states"]),
    ("watch_settings", _SQL["rest_of_watch_settings"]),
    ("parked_reports", _SQL["rest_of_parked"]),
    ("pods", _SQL["rest_of_pods"]),
)
"""In an order that needs no other: parked reports are found by the pods."""


async def delete_workload(database: Database, workload_uid: str) -> dict[str, int]:
    """Delete a workload. Returns how many rows went, by what they held; all 0 for an unknown one.

    Raises StoreUnavailable, on a deadlock too; then some of it is left, and another call goes on.
    """
    gone = dict.fromkeys((*(name for name, _ in _REST), "streams"), 0)
    gone["steps"] += await _steps(database, workload_uid)
    while chunks := await _some_chunks(database, workload_uid):
        gone["chunks"] += chunks
    async with database.connection() as connection, connection.transaction():
        # In the order in which whoever stores takes them: runs first.
        await connection.execute(_SQL["hold_runs"], workload_uid)
        await connection.execute(_RUNS["lock_workload"], workload_uid)
        await connection.execute(_SQL["hold_runs"], workload_uid)  # those numbered meanwhile
        await connection.execute(_SQL["hold_compaction"], workload_uid)
        for name, statement in _REST:
            gone[name] += _count(await connection.execute(statement, workload_uid))
        of_jobs = await connection.execute(_SQL["rest_of_run_streams"], workload_uid, IMPORT_STREAM)
    gone["streams"] = _count(of_jobs) + await _imports(database, workload_uid)
    return gone


async def _imports(database: Database, workload_uid: str) -> int:
    """Forget what was imported; apart, because whoever stores locks streams before runs."""
    async with database.connection() as connection, connection.transaction():
        found = await connection.fetch(_SQL["imports"], workload_uid, IMPORT_STREAM)
        streams = [row["stream"] for row in found]
        await connection.execute(_SQL["forget_records"], streams)
        status = await connection.execute(_SQL["forget_streams_of_workload"], workload_uid, streams)
    return _count(status)


async def _steps(database: Database, workload_uid: str) -> int:
    """Delete what rows there are, each statement a transaction. Returns how many."""
    steps, after = 0, ("", -1, -1)
    while True:
        found = await database.fetch(_SQL["delete_steps"], workload_uid, AT_ONCE, *after)
        if not found:
            return steps
        [last] = found
        steps += last["steps"]
        after = last["data_source"], last["iteration"], last["serial"]


async def _some_chunks(database: Database, workload_uid: str) -> int:
    async with database.connection() as connection:
        return _count(await connection.execute(_SQL["delete_chunks"], workload_uid, AT_ONCE))


def _count(status: str) -> int:
    """The number of rows in a command's tag, as in `DELETE 5`."""
    return int(status.rpartition(" ")[2])
