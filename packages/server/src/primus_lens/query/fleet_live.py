"""The rows of the fleet that changed, for all who follow it: read once, told to each.

Woken by query/wakings; reads through query/fleet. Comes after routes/live.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence

import msgspec

from primus_lens.model import errors
from primus_lens.query import fleet
from primus_lens.query.live import Event
from primus_lens.query.wakings import EVERYONE, Wakings
from primus_lens.store.database import Database

log = logging.getLogger(__name__)

_GATHER_S = 0.05  # reports of a fleet come in crowds: one look for all of a crowd
_EVERY_S = 0.5  # nobody reads a fleet faster, and 1,000 rows are half a megabyte
_AGAIN_S = 1.0  # after a failure
_LOOK_S = 10.0  # how soon a run that fell silent is told to be stalled


class _Follower:
    """One who follows, and the newest rows not yet told it; None tells that a workload is gone."""

    def __init__(self) -> None:
        self.woken = asyncio.Event()
        self._owed: dict[str, bytes | None] = {}

    def owe(self, rows: Mapping[str, bytes | None]) -> None:
        """These are to be told."""
        self._owed |= rows
        self.woken.set()

    def paid(self) -> dict[str, bytes | None]:
        """What is to be told now."""
        self.woken.clear()
        owed, self._owed = self._owed, {}
        return owed


class FleetTail:
    """The fleet of one data plane, looked at while anyone follows it."""

    def __init__(self, database: Database, wakings: Wakings) -> None:
        self._database = database
        self._wakings = wakings
        self._known: dict[str, bytes] = {}
        self._begun = asyncio.Event()
        self._followers: set[_Follower] = set()
        self._looking: asyncio.Task[None] | None = None

    async def follow(self, *, after: str) -> AsyncIterator[Event]:
        """Rows as they change, endless. after: "" for now; any other and every row comes first.

        Kind: workloads, with "removed" where some are gone.
        """
        follower = _Follower()
        self._followers.add(follower)
        try:
            await self._begin()
            yield Event("", cursor=_cursor())
            if after:
                follower.owe(self._known)
            while self._looking is not None and not self._looking.done():
                await follower.woken.wait()
                if owed := follower.paid():
                    yield Event("workloads", _document(owed), _cursor())
        finally:
            self._followers.discard(follower)
            if not self._followers:
                await self.close()

    async def close(self) -> None:
        """Stop looking."""
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await looking

    async def _begin(self) -> None:
        """Wait until the fleet is known: from then on every change is told."""
        if self._looking is None or self._looking.done():
            self._begun.clear()
            self._looking = asyncio.create_task(self._keep_looking(), name="fleet")
            self._looking.add_done_callback(self._ended)
        await self._begun.wait()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if self._looking not in (None, task):
            return  # another look has begun, and says itself when the fleet is known
        self._begun.set()
        for follower in self._followers:
            follower.woken.set()

    async def _keep_looking(self) -> None:
        with self._wakings.of_all() as (crowd, woken):
            self._known = {}
            read = await self._read(None)
            self._known = {uid: row for uid, row in read.items() if row is not None}
            self._begun.set()
            while True:
                with contextlib.suppress(TimeoutError):
                    # wait_for of 3.11 forgets a cancellation that comes while the event is set.
                    async with asyncio.timeout(_LOOK_S):
                        await woken.wait()
                await asyncio.sleep(_GATHER_S)
                changed = set(crowd) or {EVERYONE}  # without a waking only time has passed
                crowd.clear()
                woken.clear()
                self._tell(await self._read(None if EVERYONE in changed else sorted(changed)))
                await asyncio.sleep(_EVERY_S - _GATHER_S)

    async def _read(self, only: Sequence[str] | None) -> dict[str, bytes | None]:
        """Rows by workload, None for those that are gone."""
        while True:
            try:
                rows = await fleet.some(self._database, only, now=time.time())
                break
            except errors.LensError as error:
                log.warning("the fleet cannot be read", extra={"reason": error.message})
                await asyncio.sleep(_AGAIN_S)
        found = {row["workload_uid"]: msgspec.json.encode(row) for row in rows}
        return dict.fromkeys(self._known if only is None else only) | found

    def _tell(self, read: Mapping[str, bytes | None]) -> None:
        """Owe every follower what is not as it was."""
        changed = {uid: row for uid, row in read.items() if row != self._known.get(uid)}
        self._known |= {uid: row for uid, row in changed.items() if row is not None}
        for uid in [uid for uid, row in changed.items() if row is None]:
            del self._known[uid]
        if changed:
            for follower in self._followers:
                follower.owe(changed)


def _document(owed: Mapping[str, bytes | None]) -> bytes:
    rows = b",".join(row for row in owed.values() if row is not None)
    gone = msgspec.json.encode([uid for uid, row in owed.items() if row is None])
    return b'{"workloads":[%b],"removed":%b}' % (rows, gone)


def _cursor() -> str:
    """Not read: who comes back is told everything."""
    return str(time.time_ns() // 1_000_000)
