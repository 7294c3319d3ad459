"""Alerts to the world: as JSON, and by webhook with retries.

Each alert is told once when it opened and once when it closed, in that order. What is to be told
stands in the table of alerts, so a restart forgets nothing; should the server die between a
receiver's answer and its note of it, the alert comes twice, with the same X-Primus-Lens-Delivery.
"""

import asyncio
import hashlib
import hmac
import logging
import random
import time
from typing import Any, Literal

import asyncpg
import httpx
import msgspec

from primus_lens.model import errors
from primus_lens.model.alerts import KINDS, Alert
from primus_lens.selfmetrics import SelfMetrics
from primus_lens.store import watch as stored
from primus_lens.store.database import Database

log = logging.getLogger(__name__)

_PAST_TELLING_S = 7 * 86_400.0  # nobody acts on an alert a week old
_AT_ONCE = 100
_PATIENCE_S = 10.0  # for one answer
_FIRST_DELAY_S, _LONGEST_DELAY_S = 1.0, 300.0
_LOOK_AGAIN_S = 30.0  # a silence that ends wakes nobody

Event = Literal["opened", "closed"]
Outcome = Literal["told", "refused", "failed"]


def document(alert: Alert, *, silenced: bool = False) -> dict[str, Any]:
    """An alert as the API and the webhook have it. Times are Unix milliseconds."""
    found = alert.finding
    return {
        "workload_uid": alert.run.workload_uid,
        "run_id": alert.run_id,
        "serial": alert.run.serial,
        "data_source": alert.run.data_source,
        "kind": found.kind,
        "metric": found.metric,
        "state": "silenced" if silenced else found.state,
        "passing": found.passing,
        "since_step": found.since_step,
        "since": round(found.since * 1000),
        "last_step": found.last_step,
        "last_seen": round(found.last_seen * 1000),
        "opened_at": round(alert.opened * 1000),
        "closed_at": None if alert.closed is None else round(alert.closed * 1000),
        "text": found.text,
    }


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """What X-Primus-Lens-Signature holds: HMAC-SHA256 over the timestamp, a full stop, the body."""
    signed = timestamp.encode() + b"." + body
    return "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def delay_s(failures: int) -> float:
    """How long to wait after so many failures in a row: doubled each time, at random (jitter)."""
    longest = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * float(2 ** min(failures - 1, 20)))
    return longest * random.uniform(0.5, 1)  # noqa: S311 - spreads retries, guards nothing


class Webhook:
    """Tells alerts to one receiver. wake: set it when there may be something to tell."""

    def __init__(self, url: str, secret: str, counters: SelfMetrics) -> None:
        self._url = url
        self._secret = secret
        self._counters = counters
        self.wake = asyncio.Event()

    async def tell_for_ever(self, database: Database) -> None:
        """Tell what there is to tell, and wait for more; back off while the receiver fails."""
        failures = 0
        # No redirect is followed: an alert goes where the configuration says and nowhere else.
        async with httpx.AsyncClient(
            timeout=_PATIENCE_S, follow_redirects=False, trust_env=False
        ) as client:
            while True:
                self.wake.clear()
                try:
                    all_told = await self._tell_all(database, client)
                except errors.LensError as error:
                    log.warning("alerts wait", extra={"reason": error.message})
                    all_told = False
                failures = 0 if all_told else failures + 1
                if failures:
                    await asyncio.sleep(delay_s(failures))
                else:
                    await _woken(self.wake, _LOOK_AGAIN_S)

    async def _tell_all(self, database: Database, client: httpx.AsyncClient) -> bool:
        """Whether the receiver took or refused everything; false at its first failure."""
        while True:
            now = time.time()
            async with database.connection() as connection:
                waiting = await stored.untold(
                    connection, now=now, since=now - _PAST_TELLING_S, most=_AT_ONCE
                )
            for each in waiting:
                alert = each.alert
                if each.opening and not await self._told(database, client, alert, "opened"):
                    return False
                if alert.closed and not await self._told(database, client, alert, "closed"):
                    return False
            if len(waiting) < _AT_ONCE:
                return True

    async def _told(
        self, database: Database, client: httpx.AsyncClient, alert: Alert, event: Event
    ) -> bool:
        """Whether an event is done with, because it was taken or will never be."""
        outcome = await self._post(client, alert, event)
        self._counters.watch_webhook.labels(outcome).inc()
        if outcome == "failed":
            return False
        async with database.connection() as connection:
            await stored.note_told(connection, alert, closing=event == "closed", now=time.time())
        return True

    async def _post(self, client: httpx.AsyncClient, alert: Alert, event: Event) -> Outcome:
        body = msgspec.json.encode({"version": 1, "event": event, "alert": document(alert)})
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "primus-lens",
            "X-Primus-Lens-Delivery": _delivery(alert, event),
            "X-Primus-Lens-Timestamp": timestamp,
        }
        if self._secret:
            headers["X-Primus-Lens-Signature"] = signature(self._secret, timestamp, body)
        try:
            async with client.stream("POST", self._url, content=body, headers=headers) as answer:
                status = answer.status_code  # what it says beside is not read
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            log.warning("the webhook cannot be reached", extra={"reason": repr(error)})
            return "failed"
        if 200 <= status < 300:  # noqa: PLR2004 - HTTP
            return "told"
        log.warning("the webhook did not take an alert", extra={"status": status})
        # 4xx is about this alert and would be said again; so is a redirect, which is not followed.
        return "failed" if status >= 500 or status in {408, 425, 429} else "refused"  # noqa: PLR2004


def _delivery(alert: Alert, event: Event) -> str:
    """The same text for the same event, however often it is posted."""
    parts = (alert.run.workload_uid, alert.run.data_source, alert.run.serial, *alert.finding.key)
    text = "\n".join(map(str, (*parts, event)))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


async def _woken(wake: asyncio.Event, within_s: float) -> None:
    try:
        async with asyncio.timeout(within_s):  # wait_for of 3.11 may forget a cancellation
            await wake.wait()
    except TimeoutError:
        return


async def counts(connection: asyncpg.Connection, counters: SelfMetrics, *, now: float) -> None:
    """Bring the gauges of alerts up to what stands."""
    standing = await stored.alert_counts(connection, now=now)
    for kind in KINDS:
        is_open, silenced = standing.get(kind, (0, 0))
        counters.watch_alerts.labels(kind, "open").set(is_open)
        counters.watch_alerts.labels(kind, "silenced").set(silenced)
