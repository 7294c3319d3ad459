"""Reports of pods nobody had seen: stored as soon as pod_cache knows their pods.

In the order they came, by one replica at a time; while some of a pod wait, newer ones of it queue
behind them (transaction), so that an older value is never laid over a newer one.
"""

import logging
import time
from collections.abc import Sequence

import asyncpg
import msgspec

from primus_lens.ingest.evidence import merge_report, source_report
from primus_lens.ingest.transaction import GroupTransaction
from primus_lens.model.detections import DetectionRequest
from primus_lens.model.points import Report
from primus_lens.store import database as databases
from primus_lens.store import pods
from primus_lens.store.database import Database, DataRefused

log = logging.getLogger(__name__)

AT_ONCE = 100  # reports a transaction


class Attached(msgspec.Struct, frozen=True):
    """reports: how many no longer wait. refused: those of them that could not be stored."""

    reports: int = 0
    refused: int = 0


async def attach(database: Database) -> Attached:
    """Store some of the parked reports whose pods are known by now, oldest first.

    No reports means that none is left to attach. One that PostgreSQL refuses, or that this version
    cannot read, is given up, so that it does not hold up those behind it.
    """
    async with database.connection() as connection, connection.transaction():
        parked = await pods.claim_parked(connection, most=AT_ONCE)
        refused = await _stored(connection, parked)
        if parked:
            await pods.unpark(connection, parked)
    return Attached(len(parked), refused)


async def _stored(connection: asyncpg.Connection, parked: Sequence[pods.Parked]) -> int:
    """Store reports together; where one is refused, halve until it stands alone. Counts those."""
    if not parked:
        return 0
    try:
        async with databases.savepoint(connection):
            await _store(connection, parked)
    except (DataRefused, msgspec.DecodeError):
        if len(parked) > 1:
            middle = len(parked) // 2
            first = await _stored(connection, parked[:middle])
            return first + await _stored(connection, parked[middle:])
        pod = parked[0].sender.pod_name
        log.exception("a parked report is given up", extra={"pod": pod})
        return 1
    return 0


async def _store(connection: asyncpg.Connection, parked: Sequence[pods.Parked]) -> None:
    reports = [
        msgspec.json.decode(each.body, type=Report) for each in parked if each.kind == "report"
    ]
    # Their records were marked when they were parked; sifted again they would be called replays.
    await GroupTransaction(connection, reports, behind_parked=False, sifted=True).run()
    now = time.time()
    for each in parked:
        if each.kind == "detection":
            request = msgspec.json.decode(each.body, type=DetectionRequest)
            [workloads] = await pods.workloads_of(connection, [each.sender])
            said = source_report(request, now=now)
            for workload_uid in sorted(workloads):
                await merge_report(connection, workload_uid, request.source, said, now=now)
