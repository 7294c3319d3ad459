"""A detection report: decided, merged with what is stored, written. Rare, so it has no group."""

import time

import asyncpg
import msgspec

from primus_lens.detection import decide
from primus_lens.ingest.admission import sender_of
from primus_lens.model import errors
from primus_lens.model.detections import (
    Detection,
    DetectionRequest,
    Evidence,
    Hints,
    SourcedDetection,
)
from primus_lens.model.points import Receipt, WorkloadUid
from primus_lens.store import detections, pods
from primus_lens.store.database import Database
from primus_lens.workloads import resolver


class EvidenceIntake:
    """Takes detection reports. reject_unknown_pods: as the intake's."""

    def __init__(self, database: Database, *, reject_unknown_pods: bool = False) -> None:
        self._database = database
        self._reject_unknown_pods = reject_unknown_pods

    async def take(self, request: DetectionRequest) -> tuple[Receipt, Detection | None]:
        """Store a report once committed; what it shows by itself comes back with the receipt."""
        sender = sender_of(request)
        detection = decide.detect(request)
        now = time.time()
        async with self._database.connection() as connection, connection.transaction():
            [workloads] = await resolver.resolve(
                [sender], lambda asked: pods.workloads_of(connection, asked)
            )
            if not workloads and self._reject_unknown_pods:
                raise errors.UnknownWorkload(
                    f"no valid workload found: pod {sender.pod_name} is not known"
                )
            if not workloads:
                body = msgspec.json.encode(request)
                await pods.park(connection, sender, kind="detection", body=body, now=now)
                return Receipt(workloads=0, pending=True), detection
            for workload_uid in sorted(workloads):
                await write_detection(connection, workload_uid, request, now=now)
        return Receipt(workloads=len(workloads)), detection


async def overrule(database: Database, workload_uid: WorkloadUid, detection: Detection) -> None:
    """Store what a user says a workload runs; it outranks every report."""
    now = time.time()
    report = detections.SourceReport(now, Evidence(), Hints(), detection)
    async with database.connection() as connection, connection.transaction():
        sources = await detections.lock_sources(connection, workload_uid, now=now)
        await _write(connection, workload_uid, {**sources, decide.USER: report}, now=now)


async def withdraw(database: Database, workload_uid: WorkloadUid) -> None:
    """Forget what a user said; the reports decide again."""
    now = time.time()
    async with database.connection() as connection, connection.transaction():
        sources = await detections.lock_sources(connection, workload_uid, now=now)
        sources.pop(decide.USER, None)
        await _write(connection, workload_uid, sources, now=now)


async def write_detection(
    connection: asyncpg.Connection,
    workload_uid: WorkloadUid,
    request: DetectionRequest,
    *,
    now: float,
) -> None:
    """Merge a report into what is stored of a workload. now: Unix seconds of its arrival."""
    report = detections.SourceReport(
        at=request.timestamp or now,
        evidence=request.evidence,
        hints=request.hints,
        detection=decide.detect(request),
    )
    sources = await detections.lock_sources(connection, workload_uid, now=now)
    if request.source in sources and _rank(sources[request.source]) > _rank(report):
        return
    await _write(connection, workload_uid, {**sources, request.source: report}, now=now)


async def _write(
    connection: asyncpg.Connection,
    workload_uid: WorkloadUid,
    sources: detections.Sources,
    *,
    now: float,
) -> None:
    voices = [
        SourcedDetection(source, said.at, said.detection)
        for source, said in sorted(sources.items())
        if said.detection
    ]
    merged = decide.merge(voices) if voices else None
    await detections.write(connection, workload_uid, sources=sources, merged=merged, now=now)


def _rank(report: detections.SourceReport) -> tuple[float, float]:
    """Each source has one voice: its surest report, the newest of equals."""
    return (report.detection.confidence if report.detection else 0, report.at)
