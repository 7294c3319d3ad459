"""One group of reports on its way into the tables, inside one database transaction.

Called by intake and by parked; calls workloads/resolver and the store.
"""

import time
from collections.abc import Sequence

import asyncpg
import msgspec

import primus_lens.ingest.layers as layering
import primus_lens.store.streams as stored_streams
from primus_lens.ingest import clocks, streams, targets
from primus_lens.model import errors
from primus_lens.model.points import (
    IMPORT_STREAM,
    PlacedRow,
    Receipt,
    RecordRange,
    Report,
    Sender,
    WorkloadUid,
)
from primus_lens.store import ingest_health, pods, points_write, runs
from primus_lens.workloads import resolver

_CLOCK_SLACK_S = 86_400.0  # by which a job's clock may be ahead of ours

Outcome = Receipt | errors.LensError


class GroupTransaction:
    """One group on its way into the tables, inside one transaction."""

    def __init__(
        self,
        connection: asyncpg.Connection,
        group: Sequence[Report],
        *,
        reject_unknown_pods: bool = False,
        behind_parked: bool = True,
        sifted: bool = False,
    ) -> None:
        """behind_parked: reports of a pod wait behind older ones of it that wait already.

        sifted: their records were marked as stored before, when they were parked.
        """
        self._connection = connection
        self._group = group
        self._reject_unknown_pods = reject_unknown_pods
        self._behind_parked = behind_parked
        self._sifted = sifted
        self._begun: set[str] = set()
        self._untold: set[runs.RunKey] = set()
        self._now = time.time()

    async def run(self) -> list[Outcome]:
        """Store every report that is new and addressed. Returns an outcome each, in order."""
        outcomes: list[Outcome | None] = [None] * len(self._group)
        marks = await self._sift_known(outcomes)
        fresh = [i for i, outcome in enumerate(outcomes) if outcome is None]
        senders = [self._group[i].sender for i in fresh]
        await pods.learn(self._connection, senders, now=self._now)
        homes = await self._homes(senders)
        waiting = await self._waiting(senders)
        placed: list[tuple[Report, list[WorkloadUid]]] = []
        for i, workloads in zip(fresh, homes, strict=True):
            queued = bool(workloads) and self._group[i].sender in waiting
            if workloads and not queued:
                placed.append((self._group[i], workloads))
                outcomes[i] = Receipt(workloads=len(workloads))
            else:
                outcomes[i] = await self._park(self._group[i], known=queued)
                if isinstance(outcomes[i], errors.LensError):
                    marks.pop(i, None)
        await self._write(placed)
        for i, workloads in zip(fresh, homes, strict=True):
            if self._misses_its_run(self._group[i], workloads):
                outcomes[i] = Receipt(workloads=len(workloads), tell_run=True)
        if marks:
            await stored_streams.mark(self._connection, list(marks.values()), now=self._now)
        return [outcome or Receipt(workloads=0) for outcome in outcomes]

    async def _sift_known(self, outcomes: list[Outcome | None]) -> dict[int, RecordRange]:
        """Answer replays; return the records that are new, by their place in the group."""
        numbered = {i: r.records for i, r in enumerate(self._group) if r.records}
        if not numbered or self._sifted:
            return {}
        names = sorted({records.stream for records in numbered.values()})
        held = await stored_streams.lock(self._connection, names, now=self._now)
        self._begun = {name for name, stream in held.items() if not stream.accepted}
        new: dict[int, RecordRange] = {}
        for i, records in numbered.items():
            stream = held[records.stream]
            known = streams.known(stream.accepted, records.first, records.last)
            if known is streams.Known.ALL:
                outcomes[i] = Receipt(workloads=1, replayed=True)
            elif known is streams.Known.SOME:
                outcomes[i] = errors.PartlyKnown(
                    f"some of the records {records.first} to {records.last} of stream "
                    f"{records.stream} are stored already; send the others",
                    stream.accepted,
                )
            elif _may_be_forgotten(self._group[i], records, stream.forgotten_up_to):
                outcomes[i] = errors.TooLate(
                    f"stream {records.stream} was not heard of for longer than retention.streams, "
                    "so it is not known whether these records are stored already"
                )
            else:
                stream.accepted = streams.with_records(stream.accepted, records.first, records.last)
                new[i] = records
        return new

    async def _homes(self, senders: Sequence[Sender]) -> list[list[WorkloadUid]]:
        async def lookup(asked: Sequence[Sender]) -> list[list[WorkloadUid]]:
            return await pods.workloads_of(self._connection, asked)

        return await resolver.resolve(senders, lookup)

    async def _waiting(self, senders: Sequence[Sender]) -> set[Sender]:
        """The pods of which older reports wait to be attached."""
        by_pod = [sender for sender in senders if not sender.workload_uid]
        if not by_pod or not self._behind_parked:
            return set()
        return await pods.waiting(self._connection, by_pod)

    async def _park(self, report: Report, *, known: bool) -> Outcome:
        if self._reject_unknown_pods and not known:
            return errors.UnknownWorkload(
                f"no valid workload found: pod {report.sender.pod_name} is not known; "
                "set WORKLOAD_UID in the training container or add the pod to pod_cache"
            )
        if report.points or report.run_facts or report.gaps:
            body = msgspec.json.encode(report)
            await pods.park(
                self._connection,
                report.sender,
                kind="report",
                body=body,
                now=self._now,
                run_id=report.run_id,
                points=report.points,
            )
        return Receipt(workloads=0, pending=True)

    async def _write(self, placed: Sequence[tuple[Report, list[WorkloadUid]]]) -> None:
        told = [
            (report, uid)
            for report, workloads in placed
            for uid in workloads
            if report.rows or report.run_facts or report.gaps
        ]
        if not told:
            return
        senders = {(uid, report.run_id): report.sender for report, uid in told}
        serials, self._untold = await runs.serials(self._connection, senders, now=self._now)
        rows = [
            PlacedRow(
                uid,
                serials[uid, report.run_id],
                report.sender.pod_uid,
                row,
                clocks.by_ours(row.at, behind_s=report.behind_s, now=self._now),
            )
            for report, uid in told
            for row in report.rows
        ]
        for layer in layering.layers(rows):
            # Sorted, so that two replicas never wait for each other's rows crosswise.
            layer.sort(key=lambda p: (p.workload_uid, p.row.data_source, p.row.step, p.serial))
            await points_write.merge_steps(self._connection, layer)
        if rows:
            await points_write.note_latest(self._connection, rows, now=self._now)
        for report, uid in told:
            await self._note_facts(report, uid, serials[uid, report.run_id])
        await self._note_streams(told, serials)

    def _misses_its_run(self, report: Report, workloads: Sequence[WorkloadUid]) -> bool:
        """Whether a stream goes on of which the first record, which tells the run, is gone.

        So it is after its workload was deleted, and where its beginning is still to come.
        """
        records = report.records
        if not records or records.first == 1 or records.stream.startswith(IMPORT_STREAM):
            return False
        return any((uid, report.run_id) in self._untold for uid in workloads)

    async def _note_facts(self, report: Report, uid: WorkloadUid, serial: int) -> None:
        if report.run_facts or report.definitions:
            attempt = report.run_facts.get("attempt")
            await runs.note_facts(
                self._connection,
                workload_uid=uid,
                serial=serial,
                facts={**report.run_facts, **runs.pod_facts(report.sender)},
                definitions=report.definitions,
                target_step=targets.target_step(report.run_facts.get("config") or {}),
                attempt_at=None
                if attempt is None
                else clocks.by_ours(attempt, behind_s=report.behind_s, now=self._now),
            )
        if report.gaps:
            await runs.note_gaps(
                self._connection,
                workload_uid=uid,
                run_id=report.run_id,
                stream=report.records.stream if report.records else "",
                gaps=report.gaps,
                now=self._now,
            )

    async def _note_streams(
        self, told: Sequence[tuple[Report, WorkloadUid]], serials: dict[runs.RunKey, int]
    ) -> None:
        """Remember who brings a run's points: where a stream begins or speaks of its run.

        Not at every report, for that would be a statement more for each.
        """
        noted = {
            (uid, serials[uid, report.run_id], report.records.stream)
            for report, uid in told
            if report.records
            and (
                self._sifted
                or report.records.stream in self._begun
                or (uid, report.run_id) in self._untold
                or _tells_its_stream(report, report.records)
            )
        }
        for uid, serial, stream in sorted(noted):
            await ingest_health.note_stream(
                self._connection, workload_uid=uid, serial=serial, stream=stream
            )


def _tells_its_stream(report: Report, records: RecordRange) -> bool:
    """Whether to note the stream: a job's begins with facts, so this is written once or twice."""
    is_import = records.stream.startswith(IMPORT_STREAM)
    return is_import or bool(report.run_facts or report.definitions)


def _may_be_forgotten(report: Report, records: RecordRange, forgotten_up_to: float | None) -> bool:
    """Whether a report of a stream that looks new is so old that it may have been stored before.

    An import may always be repeated: it tells its whole file in order, and ends in the same values.
    """
    if forgotten_up_to is None or records.stream.startswith(IMPORT_STREAM):
        return False
    return any(row.at <= forgotten_up_to + _CLOCK_SLACK_S for row in report.rows)
