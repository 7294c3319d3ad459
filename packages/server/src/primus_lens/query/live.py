"""A workload's points as they are stored, each once: for those who follow it.

The follower is woken (query/wakings) and reads what is new itself (store/changes), so a slow one
holds nothing up. Comes after routes/live.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from primus_lens.query import cursors, drawing, inventory
from primus_lens.query.wakings import Wakings
from primus_lens.store import changes
from primus_lens.store import inventory as stored
from primus_lens.store.changes import RunKey
from primus_lens.store.database import Database

_LOOK_S = 5.0  # how soon a run that fell silent is told to be stalled
_SILENT = frozenset({"stalled", "crashed"})
_UNSTEADY = frozenset({"last_seen", "last_step", "progress", "step_rate", "eta_s"})


class Event(msgspec.Struct, frozen=True):
    """Something to tell. kind: "" only moves the cursor. data: JSON."""

    kind: str
    data: bytes = b""
    cursor: str = ""


async def tail(
    database: Database, wakings: Wakings, workload_uid: str, names: Sequence[str], *, after: str
) -> AsyncIterator[Event]:
    """What is new of a workload, endless. after: a cursor, "" for now.

    Kinds: points; workload (its state or its runs changed, or a metric beside those of `names` had
    news for the first time since: it may be a new one); reset (what was stored since can no longer
    be told point by point: read anew). Raises BadQuery for a foreign cursor.
    """
    met: frozenset[str] = frozenset()
    with wakings.of(workload_uid) as woken:
        seen = await _start(database, workload_uid, after)
        runs = _Runs(database, workload_uid)
        if after:
            woken.set()
        else:
            await runs.changed(woken=True)  # who comes without a cursor reads them now
        yield Event("", cursor=cursors.of(seen))
        while True:
            with contextlib.suppress(TimeoutError):
                # wait_for of 3.11 forgets a cancellation that comes while the event is set.
                async with asyncio.timeout(_LOOK_S):
                    await woken.wait()
            was_woken = woken.is_set()
            unmet: frozenset[str] = frozenset()
            woken.clear()
            if was_woken:
                async with database.connection() as connection:
                    news = await changes.since(connection, workload_uid, seen, names)
                seen = news.seen
                unmet, met = news.others - met, news.others | met
                if news.more:
                    woken.set()
                if news.lost:
                    yield Event("reset", b"{}", cursors.of(seen))
                elif news.points:
                    yield Event("points", _told(news.points), cursors.of(seen))
            told = await runs.changed(woken=was_woken, anyhow=bool(unmet))
            if told is not None:
                yield Event("workload", told, cursors.of(seen))


async def _start(database: Database, workload_uid: str, after: str) -> dict[RunKey, int]:
    if after:
        return cursors.seen_at(after)
    async with database.connection() as connection:
        return await changes.seen_now(connection, workload_uid)


def _told(points: Sequence[changes.NewPoints]) -> bytes:
    series = [
        {
            "metric": each.metric,
            "data_source": each.data_source,
            "serial": each.serial,
            "run_id": each.run_id,
            "step": each.steps,
            "time": each.times,
            "value": drawing.spoken(each.values),
        }
        for each in points
    ]
    return msgspec.json.encode({"series": series})


class _Runs:
    """Notices when the runs of a workload change: one more, another state, another fact."""

    def __init__(self, database: Database, workload_uid: str) -> None:
        self._database = database
        self._workload_uid = workload_uid
        self._versions = ""
        self._records: list[dict[str, Any]] = []
        self._told: list[dict[str, Any]] = []

    async def changed(self, *, woken: bool, anyhow: bool = False) -> bytes | None:
        """The runs as JSON where more of them changed than how far they are, else None.

        woken: something was stored; otherwise only time has passed, and the database is asked
        nothing unless a run has fallen silent. anyhow: tell them though they are the same.
        """
        states = [run["state"] for run in inventory.shown(self._records, time.time())]
        fell_silent = states != [run["state"] for run in self._told]
        if not (woken or fell_silent or anyhow):
            return None
        async with self._database.connection() as connection:
            versions = await changes.row_versions(connection, self._workload_uid)
            same = versions == self._versions and not fell_silent and _SILENT.isdisjoint(states)
            if same and not anyhow:
                return None
            self._versions = versions
            self._records = await stored.runs(connection, self._workload_uid)
        runs = inventory.shown(self._records, time.time())
        steady = [{n: v for n, v in run.items() if n not in _UNSTEADY} for run in runs]
        if steady == self._told and not anyhow:
            return None
        self._told = steady
        return msgspec.json.encode({"workload_uid": self._workload_uid, "runs": runs})
