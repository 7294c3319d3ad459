"""Wakes those who follow a workload or the fleet when something is stored.

Storing a row notifies PostgreSQL's listeners at its commit, whichever process stores it; one
connection listens for all followers of a database. Idle followers cost nothing. Called by
query/live and query/fleet_live.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Iterator

from primus_lens.model import errors
from primus_lens.store.database import Database

log = logging.getLogger(__name__)

CHANNEL = "lens_stored"
EVERYONE = ""  # no workload has this name

_LISTEN_AGAIN_S = 1.0  # while nobody tells us, all followers look this often


class Wakings:
    """Wakes followers of a database's workloads. One a data plane; listens while anyone follows."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._followers: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._crowds: list[tuple[set[str], asyncio.Event]] = []
        self._listener: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def of(self, workload_uid: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever something of the workload is stored."""
        woken = asyncio.Event()
        self._followers[workload_uid].add(woken)
        self._listen()
        try:
            yield woken
        finally:
            self._followers[workload_uid].discard(woken)
            if not self._followers[workload_uid]:
                del self._followers[workload_uid]

    @contextlib.contextmanager
    def of_all(self) -> Iterator[tuple[set[str], asyncio.Event]]:
        """A set into which the workloads go of which something is stored, and its event.

        EVERYONE in it means that any may have changed.
        """
        crowd: tuple[set[str], asyncio.Event] = set(), asyncio.Event()
        self._crowds.append(crowd)
        self._listen()
        try:
            yield crowd
        finally:
            self._crowds.remove(crowd)

    async def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener

    def _listen(self) -> None:
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._keep_listening(), name="live")

    async def _keep_listening(self) -> None:
        while True:
            try:
                async with self._database.listening(CHANNEL, self._wake) as lost:
                    self._wake_everyone()  # what came before we listened
                    await lost.wait()
            except errors.LensError as error:
                log.warning("nobody tells what is stored", extra={"reason": error.message})
            self._wake_everyone()
            await asyncio.sleep(_LISTEN_AGAIN_S)

    def _wake(self, workload_uid: str) -> None:
        for woken in self._followers.get(workload_uid, ()):
            woken.set()
        for crowd, woken in self._crowds:
            crowd.add(workload_uid)
            woken.set()

    def _wake_everyone(self) -> None:
        for woken in [each for group in self._followers.values() for each in group]:
            woken.set()
        for crowd, woken in self._crowds:
            crowd.add(EVERYONE)
            woken.set()
