"""What is given up after a time, in small transactions beside a running ingest.

Everything is kept unless the settings say otherwise; reports of pods that never appear alone have a
term of their own. Any number of replicas may do it; killed anywhere, the next call goes on.
"""

import logging

import msgspec

from primus_lens.store import deletion, dropped, pods, statements
from primus_lens.store.database import Database

log = logging.getLogger(__name__)

_SQL = statements.load("retention.sql")
_AT_ONCE = 100  # ranges, workloads a look
_SMALL_ROWS = 1_000  # parked reports and streams a transaction


class Terms(msgspec.Struct, frozen=True):
    """How long what is kept, in seconds; None: for ever.

    rows: of ranges that have chunks. workloads: of which nothing is heard. parked: reports of pods
    that do not appear. streams: which records of a silent stream are stored.
    """

    rows: float | None = None
    workloads: float | None = None
    parked: float | None = None
    streams: float | None = None


class Expired(msgspec.Struct):
    """What one sweep gave up."""

    ranges: int = 0
    workloads: int = 0
    parked_reports: int = 0
    parked_points: int = 0
    streams: int = 0


async def sweep(database: Database, terms: Terms, *, now: float) -> Expired:
    """Give up what has had its term. now: Unix seconds. Raises StoreUnavailable."""
    gone = Expired()
    if terms.parked is not None:
        await _parked(database, now - terms.parked, gone)
    if terms.workloads is not None:
        gone.workloads = await _workloads(database, now - terms.workloads)
    if terms.rows is not None:
        gone.ranges = await drop_rows(database, before=now - terms.rows)
    if terms.streams is not None:
        gone.streams = await _streams(database, now - terms.streams)
    if any(msgspec.structs.astuple(gone)):
        log.info("retention", extra=msgspec.structs.asdict(gone))
    return gone


async def drop_rows(database: Database, *, before: float) -> int:
    """Let the rows go of ranges unchanged since a moment. Returns of how many ranges."""
    done = 0
    passed: set[int] = set()  # busy, or kept for a reason
    while True:
        found = await database.fetch(_SQL["droppable"], before, _AT_ONCE + len(passed))
        fresh = [row for row in found if row["axis_id"] not in passed]
        if not fresh:
            return done
        for row in fresh:
            uid, axis_id = row["workload_uid"], row["axis_id"]
            async with database.connection() as connection, connection.transaction():
                why_not = await dropped.drop(connection, uid, axis_id)
            if not why_not:
                done += 1
                continue
            passed.add(axis_id)
            if why_not != dropped.BUSY:
                where = {"workload": uid, "axis_id": axis_id, "reason": why_not}
                log.error("chunks tell other points than their rows, which stay", extra=where)


async def _parked(database: Database, before: float, gone: Expired) -> None:
    while True:
        async with database.connection() as connection:
            some = await pods.expire_parked(connection, before=before, most=_SMALL_ROWS)
        if not some.reports:
            return
        gone.parked_reports += some.reports
        gone.parked_points += some.points
        log.warning(
            "reports of pods that never appeared are given up", extra={"points": some.points}
        )


async def _workloads(database: Database, before: float) -> int:
    done = 0
    while found := await database.fetch(_SQL["quiet_workloads"], before, _AT_ONCE):
        for row in found:
            await deletion.delete_workload(database, row["workload_uid"])
            log.info("workload expired", extra={"workload": row["workload_uid"]})
            done += 1
    return done


async def _streams(database: Database, before: float) -> int:
    done = 0
    while True:
        [row] = await database.fetch(_SQL["forget_streams"], before, _SMALL_ROWS)
        if not row["count"]:
            return done
        done += row["count"]
