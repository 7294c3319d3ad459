"""Reports of pods nobody had seen: stored as soon as pod_cache knows their pods.

In the order they came, by one replica at a time; while some of a pod wait, newer ones of it queue
behind them (transaction), so that an older value is never laid over a newer one. One that meets a
bug of ours is set aside, and only what comes later of its run waits for it.
"""

import logging
from collections.abc import Sequence

import asyncpg
import msgspec

from primus_lens.ingest.evidence import merge_report, source_report
from primus_lens.ingest.transaction import GroupTransaction
from primus_lens.model import errors
from primus_lens.model.detections import DetectionRequest
from primus_lens.model.points import Report
from primus_lens.store import database as databases
from primus_lens.store import pods
from primus_lens.store.database import Database, DataRefused

log = logging.getLogger(__name__)

AT_ONCE = 100  # reports a transaction
RETRY_S = 60.0  # a bug is mended by a new version: trying more often only costs


class Attached(msgspec.Struct, frozen=True):
    """What became of some parked reports.

    reports: how many no longer wait. refused: those of them that could not be stored. set_aside:
    how many met a bug of ours.
    """

    reports: int = 0
    refused: int = 0
    set_aside: int = 0


NOTHING = Attached()


async def attach(database: Database, *, now: float) -> Attached:
    """Store some of the parked reports whose pods are known by now, oldest first.

    now: Unix seconds. NOTHING means that none is left to attach. One that PostgreSQL refuses, or
    that this version cannot read, is given up. One that fails otherwise is kept and tried again.
    """
    async with database.connection() as connection, connection.transaction():
        parked = await pods.claim_parked(connection, most=AT_ONCE, now=now)
        if not parked:
            return NOTHING
        batch = _Batch(connection, now)
        await batch.store(parked)
        await pods.unpark(connection, batch.done)
        await pods.set_aside(connection, batch.failed, until=now + RETRY_S)
    return Attached(len(batch.done), batch.refused, len(batch.failed))


class _Batch:
    """Parked reports on their way into the tables.

    done: stored or refused. failed: to be set aside. What must follow a failed one is in neither.
    """

    def __init__(self, connection: asyncpg.Connection, now: float) -> None:
        self._connection = connection
        self._now = now
        self.done: list[pods.Parked] = []
        self.failed: list[pods.Parked] = []
        self.refused = 0

    async def store(self, parked: Sequence[pods.Parked]) -> None:
        """Store reports together; where one cannot be, halve until it stands alone."""
        parked = [each for each in parked if not any(map(each.must_follow, self.failed))]
        if not parked:
            return
        error = await self._failure(parked)
        if error is None:
            self.done += parked
        elif len(parked) > 1:
            middle = len(parked) // 2
            await self.store(parked[:middle])
            await self.store(parked[middle:])
        elif isinstance(error, DataRefused | msgspec.DecodeError):
            self._give_up(parked[0], error)
        else:
            self._set_aside(parked[0], error)

    async def _failure(self, parked: Sequence[pods.Parked]) -> Exception | None:
        """Store reports together, or none of them. Returns what stood in the way, if anything."""
        try:
            async with databases.savepoint(self._connection):
                await self._store(parked)
        except errors.TryLater:
            raise
        except Exception as error:  # noqa: BLE001 - a bug of ours, told where the report stands alone
            return error
        return None

    def _give_up(self, report: pods.Parked, error: Exception) -> None:
        log.error(
            "a parked report is given up", extra={"pod": report.sender.pod_name}, exc_info=error
        )
        self.done.append(report)
        self.refused += 1

    def _set_aside(self, report: pods.Parked, error: Exception) -> None:
        if not report.was_set_aside:  # told once, however often it is tried
            log.error(
                "a parked report met a bug of the server and is set aside: it is kept and tried "
                "again every minute; what came later of its run waits for it, other runs go on",
                extra={"pod": report.sender.pod_name, "run": report.run_id},
                exc_info=error,
            )
        self.failed.append(report)

    async def _store(self, parked: Sequence[pods.Parked]) -> None:
        reports = [
            msgspec.json.decode(each.body, type=Report) for each in parked if each.kind == "report"
        ]
        # Their records were marked when they were parked; sifted again they would be replays.
        await GroupTransaction(self._connection, reports, behind_parked=False, sifted=True).run()
        for each in parked:
            if each.kind == "detection":
                request = msgspec.json.decode(each.body, type=DetectionRequest)
                [workloads] = await pods.workloads_of(self._connection, [each.sender])
                said = source_report(request, now=self._now)
                for workload_uid in sorted(workloads):
                    await merge_report(
                        self._connection, workload_uid, request.source, said, now=self._now
                    )
