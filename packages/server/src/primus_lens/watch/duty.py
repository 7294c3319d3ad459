"""Which replica watches: the one whose connection holds the lock, until that connection ends."""

import asyncio
import contextlib
import logging
import time

import asyncpg

from primus_lens.model import errors
from primus_lens.model.alerts import KINDS
from primus_lens.selfmetrics import SelfMetrics
from primus_lens.settings import WatchSettings
from primus_lens.store import watch as stored
from primus_lens.store.database import Database
from primus_lens.watch import telling
from primus_lens.watch.sweep import Sweep

log = logging.getLogger(__name__)

CONNECTIONS = 2  # of the watch's own: one holds the lock and looks, one is for the webhook


async def keep_watch(database: Database, settings: WatchSettings, counters: SelfMetrics) -> None:
    """Watch whenever nobody else does, until cancelled."""
    while True:
        try:
            async with database.connection() as connection:
                if await stored.try_to_watch(connection):
                    log.info("watching")
                    await _watching(database, connection, settings, counters)
        except errors.TryLater as error:
            log.warning("the watch waits", extra={"reason": error.message})
        except Exception:
            log.exception("the watch failed and begins anew")
        finally:
            _no_longer(counters)
        await asyncio.sleep(settings.every_s)


async def _watching(
    database: Database,
    connection: asyncpg.Connection,
    settings: WatchSettings,
    counters: SelfMetrics,
) -> None:
    """Look again and again. Ends only with an error: then all is taken up from the tables."""
    sweep = Sweep(connection, settings, since=time.time())
    webhook = telling.Webhook(settings.webhook_url, settings.webhook_secret, counters)
    async with contextlib.AsyncExitStack() as stack:
        if settings.webhook_url:
            task = asyncio.create_task(webhook.tell_for_ever(database), name="webhook")
            stack.push_async_callback(_cancelled, task)
        while True:
            with counters.watch_sweep.time():
                swept = await sweep.look(now=time.time())
            counters.watch_runs.set(swept.runs)
            counters.watch_runs_behind.set(swept.behind)
            counters.watch_rows.inc(swept.rows)
            for kind, opened in swept.opened.items():
                counters.watch_alerts_opened.labels(kind).inc(opened)
            await telling.counts(connection, counters, now=time.time())
            if swept.changed:
                webhook.wake.set()
            await asyncio.sleep(settings.every_s)


def _no_longer(counters: SelfMetrics) -> None:
    """Another replica's gauges count now."""
    counters.watch_runs.set(0)
    counters.watch_runs_behind.set(0)
    for kind in KINDS:
        for state in ("open", "silenced"):
            counters.watch_alerts.labels(kind, state).set(0)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
