"""Reports of pods nobody had seen: stored as soon as pod_cache knows their pods."""

import time

import asyncpg
import msgspec

from primus_lens.ingest.evidence import merge_report, source_report
from primus_lens.ingest.transaction import GroupTransaction
from primus_lens.model.detections import DetectionRequest
from primus_lens.model.points import Report
from primus_lens.store import pods
from primus_lens.store.database import Database

AT_ONCE = 100  # reports a transaction


async def attach(database: Database) -> int:
    """Store some of the parked reports whose pods are known by now, oldest first.

    Returns how many there were; 0 means none is left to attach.
    """
    async with database.connection() as connection, connection.transaction():
        parked = await pods.claim_parked(connection, most=AT_ONCE)
        for each in parked:
            await _attach_one(connection, each)
        if parked:
            await pods.unpark(connection, parked)
    return len(parked)


async def _attach_one(connection: asyncpg.Connection, parked: pods.Parked) -> None:
    if parked.kind == "report":
        report = msgspec.json.decode(parked.body, type=Report)
        # Its records were marked when it was parked; marking them again would call it a replay.
        unnumbered = msgspec.structs.replace(report, records=None)
        await GroupTransaction(connection, [unnumbered]).run()
        return
    request = msgspec.json.decode(parked.body, type=DetectionRequest)
    [workloads] = await pods.workloads_of(connection, [parked.sender])
    now = time.time()
    said = source_report(request, now=now)
    for workload_uid in sorted(workloads):
        await merge_report(connection, workload_uid, request.source, said, now=now)
