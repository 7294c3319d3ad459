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
        if request.source == decide.USER:
            raise errors.InvalidField.of(
                "source", request.source, "another; a person's word goes to PUT …/detection"
            )
        now = time.time()
        report = source_report(request, now=now)
        async with self._database.connection() as connection, connection.transaction():
            [workloads] = await resolver.resolve(
                [sender], lambda asked: pods.workloads_of(connection, asked)
            )
            await pods.learn(connection, [sender], now=now)
            if not workloads and self._reject_unknown_pods:
                raise errors.UnknownWorkload(
                    f"no valid workload found: pod {sender.pod_name} is not known"
                )
            if not workloads:
                body = msgspec.json.encode(request)
                await pods.park(connection, sender, kind="detection", body=body, now=now)
                return Receipt(workloads=0, pending=True), report.detection
            for workload_uid in sorted(workloads):
                await merge_report(connection, workload_uid, request.source, report, now=now)
        return Receipt(workloads=len(workloads)), report.detection


def source_report(request: DetectionRequest, *, now: float) -> detections.SourceReport:
    """A report with what it shows by itself. now: Unix seconds of its arrival."""
    return detections.SourceReport(
        at=request.timestamp or now,
        evidence=request.evidence,
        hints=request.hints,
        detection=decide.detect(request),
    )


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


async def merge_report(
    connection: asyncpg.Connection,
    workload_uid: WorkloadUid,
    source: str,
    report: detections.SourceReport,
    *,
    now: float,
) -> None:
    """Merge a source's report into what is stored of a workload."""
    sources = await detections.lock_sources(connection, workload_uid, now=now)
    if source in sources and _rank(sources[source]) > _rank(report):
        return
    await _write(connection, workload_uid, {**sources, source: report}, now=now)


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
