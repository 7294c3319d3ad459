"""Group commit: reports wait together, are stored together, each acknowledged after COMMIT.

Comes after admission, before transaction. Whatever is waiting when a commit ends goes into the next
one, so the busier the server, the larger its transactions; a timer that lingered for more made it
slower. A report that cannot be stored fails alone: its group is split until only it is left.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence

import msgspec

from primus_lens.ingest.transaction import GroupTransaction, Outcome
from primus_lens.model import errors
from primus_lens.model.points import Receipt, Report
from primus_lens.store.database import Database

log = logging.getLogger(__name__)

GROUP_POINTS = 50_000  # a transaction: some 50 ms of work, so that nobody waits long behind it
MEMORY_OF_TEXT = 6  # bytes that a byte of JSON takes as text, message and rows: 4 to 7 measured
_DRAIN_S = 10  # at the end a database that hangs may take so long, then nobody waits any more


class Waiting(msgspec.Struct, frozen=True):
    """A report and the request that waits for its receipt."""

    report: Report
    receipt: "asyncio.Future[Receipt]"


class Intake:
    """The one writer of a process.

    pending_bytes: bound on the memory of requests that are being read or wait for their commit.
    reject_unknown_pods: refuse reports of unseen pods instead of keeping them.
    """

    def __init__(
        self, database: Database, *, pending_bytes: int, reject_unknown_pods: bool = False
    ) -> None:
        self._database = database
        self._pending_limit = pending_bytes
        self._pending = 0
        self._reject_unknown_pods = reject_unknown_pods
        self._waiting: list[Waiting] = []
        self._work = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._closing = False

    def start(self) -> None:
        """Begin storing what is submitted."""
        self._writer = asyncio.create_task(self._write_groups(), name="intake")

    async def drain(self) -> None:
        """Take nothing new, store what waits, stop; bounded, though the database may hang."""
        self._closing = True
        self._work.set()
        if self._writer is not None:
            try:
                await asyncio.wait_for(self._writer, _DRAIN_S)
            except TimeoutError:
                log.warning("stopped before all was stored", extra={"reports": len(self._waiting)})

    @contextlib.contextmanager
    def room(self, declared_bytes: int) -> Iterator[Callable[[int], None]]:
        """Room for one request's body until it is answered.

        declared_bytes: what the sender says it will send; refused beforehand if that is too much.
        Yields what takes room for bytes that have come. Only those hold room, so that senders who
        announce much and send it slowly keep nobody out. A body is never too much when it is alone.
        Raises IntakeFull, also when room is taken.
        """
        if self._closing:
            raise errors.IntakeFull("the server is stopping", retry_after_s=2)
        held = 0

        def refuse_beyond(more: int) -> None:
            if self._pending > held and self._pending + more > self._pending_limit:
                raise errors.IntakeFull(
                    f"requests of {self._pending} bytes of memory are waiting to be stored and "
                    f"the limit is {self._pending_limit}",
                    retry_after_s=1,
                )

        def take(size_bytes: int) -> None:
            nonlocal held
            refuse_beyond(size_bytes * MEMORY_OF_TEXT)
            held += size_bytes * MEMORY_OF_TEXT
            self._pending += size_bytes * MEMORY_OF_TEXT

        refuse_beyond(declared_bytes * MEMORY_OF_TEXT)
        try:
            yield take
        finally:
            self._pending -= held

    async def store(self, report: Report) -> Receipt:
        """Wait until the report is committed.

        Raises PartlyKnown, DataRefused, UnknownWorkload (when unknown pods are rejected),
        StoreUnavailable.
        """
        if self._writer is None or self._writer.done():
            raise errors.StoreUnavailable("the intake is not running", retry_after_s=2)
        waiting = Waiting(report, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._work.set()
        return await waiting.receipt

    async def _write_groups(self) -> None:
        while not (self._closing and not self._waiting):
            await self._work.wait()
            group = self._next_group()
            if group:
                outcomes = await self._stored([each.report for each in group])
                _answer(group, outcomes)
            if not self._waiting and not self._closing:
                self._work.clear()

    def _next_group(self) -> list[Waiting]:
        """From the front of what waits, up to GROUP_POINTS, at least one report."""
        points = taken = 0
        for each in self._waiting:
            points += each.report.points
            if taken and points > GROUP_POINTS:
                break
            taken += 1
        group, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return group

    async def _stored(self, group: Sequence[Report]) -> list[Outcome]:
        """Store a group in one transaction; split it where something in it cannot be stored."""
        try:
            async with self._database.connection() as connection, connection.transaction():
                transaction = GroupTransaction(
                    connection, group, reject_unknown_pods=self._reject_unknown_pods
                )
                return await transaction.run()
        except errors.TryLater as error:
            return [error] * len(group)
        except Exception as error:
            if len(group) > 1:  # one of them is at fault, perhaps by a bug of ours
                middle = len(group) // 2
                return [*await self._stored(group[:middle]), *await self._stored(group[middle:])]
            if isinstance(error, errors.LensError):
                return [error]
            log.exception("a report could not be stored")
            return [errors.Defect(f"{type(error).__name__} while storing")]


def _answer(group: Sequence[Waiting], outcomes: Sequence[Outcome]) -> None:
    for waiting, outcome in zip(group, outcomes, strict=True):
        if waiting.receipt.done():  # the client went away; what it sent is stored all the same
            continue
        if isinstance(outcome, Receipt):
            waiting.receipt.set_result(outcome)
        else:
            waiting.receipt.set_exception(outcome)
