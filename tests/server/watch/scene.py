"""Runs that report to a database while the test turns the clock, and the watch over them."""

import asyncio
import contextlib
import math

from primus_lens.ingest.transaction import GroupTransaction
from primus_lens.model.points import Report, Row, RunId, Sender
from primus_lens.settings import WatchSettings
from primus_lens.store import watch as stored
from primus_lens.store.database import Database
from primus_lens.watch.replay import replay
from primus_lens.watch.sweep import Sweep

START = 1_750_000_000.0


def spoken(value):
    """A number as the wire carries it."""
    if math.isnan(value):
        return "NaN"
    return value if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"


class Scene:
    """A database, a clock that stands still, and a watch. now: the server's clock."""

    def __init__(self, database, connection):
        self.database, self.connection = database, connection
        self.now = START
        self.settings = WatchSettings()
        self.begin()

    def begin(self, settings=None):
        """Start the watch, as after a restart: it remembers what the tables do."""
        self.settings = settings or self.settings
        self.sweep = Sweep(self.connection, self.settings, since=self.now)

    async def report(self, rows, *, workload="w", run_id="r", **facts):
        """Rows (step, at, metrics) that arrive now. facts: what the run says of itself."""
        told = [
            Row(RunId(run_id), "wandb", step, at, {n: spoken(v) for n, v in metrics.items()}, {})
            for step, at, metrics in rows
        ]
        report = Report(Sender(workload), told, len(told), 0, run_id=RunId(run_id), run_facts=facts)
        async with self.database.connection() as connection, connection.transaction():
            transaction = GroupTransaction(connection, [report])
            transaction._now = self.now
            await transaction.run()

    async def look(self, after_s=10.0):
        """Let time pass and look."""
        self.now += after_s
        return await self.sweep.look(now=self.now)

    async def live(self, rows, *, every=25, **facts):
        """Rows that arrive as the job's clock says, `every` at a time, with a look after each."""
        for start in range(0, len(rows), every):
            piece = rows[start : start + every]
            self.now = max(self.now, piece[-1][1])
            await self.report(piece, **facts)
            await self.look(0.0)
        await self.look()

    async def alerts(self, state="all", **filters):
        """The alerts of a state, the oldest first."""
        found, total = await stored.alerts(self.connection, state=state, now=self.now, **filters)
        assert len(found) == total
        return [each.alert for each in reversed(found)]

    async def told(self, state="all"):
        """Alerts but for passing spikes: (kind, metric, since_step, state)."""
        return sorted(
            (each.finding.kind, each.finding.metric, each.finding.since_step, each.finding.state)
            for each in await self.alerts(state)
            if not each.finding.passing
        )

    async def replayed(self, workload="w"):
        """What a replay says in the end, as `told` has it, and the texts."""
        found = await replay(self.connection, workload, self.settings)
        [findings] = found.newest.values()
        return findings


def play(dsn, scenario):
    """Run a scenario, a coroutine function of a Scene."""

    async def played():
        database = Database(dsn, pool_size=2)
        await database.open(migrate=False)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(database.close)
            connection = await stack.enter_async_context(database.connection())
            await scenario(Scene(database, connection))

    asyncio.run(played())
