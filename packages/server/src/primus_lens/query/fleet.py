"""The fleet: a row a workload, filtered, sorted, counted by state, framework and namespace.

Comes after routes/fleet; reads through store/inventory, judges by query/pace. What is shown is
kept by the write path (store/pulse), so that no curve is read.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import asyncpg
import msgspec

from primus_lens.model import errors
from primus_lens.query import pace
from primus_lens.store import inventory, pulse, watch
from primus_lens.store.database import Database, DataRefused

LONGEST_PATTERN = 200
PATTERN_WITHIN_MS = 500  # for all names of a fleet; an honest one takes 20 for 10,000 workloads

SORTED_BY = (
    *("trouble", "last_seen", "first_seen", "name", "progress", "step_rate", "last_step"),
    *("framework", "state"),
)

_FRESH_S = 60.0
_TROUBLE = ("diverged", "crashed", "failed", "stalled", "alerted", "unknown", "running", "finished")
_OF_AN_ALERT = ("kind", "since", "text", "run_id", "metric")
_FACETS = ("state", "framework", "namespace")
_LARGEST_FIRST = frozenset({"last_seen", "first_seen", "progress", "step_rate", "last_step"})

Workload = dict[str, Any]
"""A row of the answer."""


class Asked(msgspec.Struct, frozen=True):
    """Which workloads a reader asks for.

    q: text sought in uid, run name, project, framework and namespace. regex: likewise, a regular
    expression of PostgreSQL. state, framework, namespace: any of these; empty means all, "" the
    ones without.
    """

    q: str = ""
    regex: str = ""
    state: Sequence[str] = ()
    framework: Sequence[str] = ()
    namespace: Sequence[str] = ()
    sort: str = "last_seen"
    limit: int = 1_000
    offset: int = 0


class Page(msgspec.Struct, frozen=True):
    """Some of the workloads asked for.

    facets: how many there are by state and so on, where the other filters hold. total_count: of
    all pages.
    """

    workloads: list[Workload]
    facets: dict[str, dict[str, int]]
    total_count: int


async def workloads(database: Database, asked: Asked, *, now: float) -> Page:
    """A page of the fleet. now: Unix seconds. Raises BadQuery for a bad regex."""
    async with database.connection() as connection:
        found = await inventory.fleet(connection)
        alerts = await watch.alerts_of_fleet(connection, None, now=now)
    if not asked.regex:
        return await asyncio.to_thread(lambda: _page(_rows(found, alerts, now), asked, now))
    every = await asyncio.to_thread(_rows, found, alerts, now)  # 10 us a workload
    every = await _matching(database, every, asked.regex)
    return await asyncio.to_thread(_page, every, asked, now)


async def some(database: Database, only: Sequence[str] | None, *, now: float) -> list[Workload]:
    """The rows of some workloads, None for all; for those who follow the fleet."""
    async with database.connection() as connection:
        found = await inventory.fleet(connection, only)
        alerts = await watch.alerts_of_fleet(connection, only, now=now)
    return _rows(found, alerts, now)


def _rows(
    found: Sequence[asyncpg.Record], alerts: Mapping[str, list[dict[str, Any]]], now: float
) -> list[Workload]:
    paces = pace.paces([row["recent_steps"] or b"" for row in found])
    lines = pace.sparklines([row["recent_losses"] or b"" for row in found])
    rows = [_row(*of_one, now) for of_one in zip(found, paces, lines, strict=True)]
    for row in rows if alerts else ():
        _alert(row, alerts.get(row["workload_uid"], ()))
    return rows


def _alert(row: Workload, alerts: Sequence[Mapping[str, Any]]) -> None:
    """Tell a row its open alerts; a run that diverges does, whatever it says of itself."""
    for alert in alerts:
        if alert["kind"] == "divergence" and alert["serial"] == row["serial"]:
            row["state"] = "diverged"
    row["alerts"] += [{name: alert[name] for name in _OF_AN_ALERT} for alert in alerts]


def _row(row: asyncpg.Record, of_run: pace.Pace, line: list[float | None], now: float) -> Workload:
    latest: dict[str, Any] = msgspec.json.decode(row["shown"] or "{}")
    silent_s = 0.0 if row["heard_at"] is None else now - row["heard_at"]
    state = pace.state(row["state"], silent_s=silent_s, gap_s=of_run.gap_s)
    progress = pace.progress(
        latest,
        last_step=row["last_step"],
        configured=row["target_step"],
        rate=of_run.rate,
        state=state,
    )
    loss = row["loss_metric"]
    return {
        "workload_uid": row["workload_uid"],
        "state": state,
        "name": row["name"],
        "project": row["project"],
        "namespace": row["namespace"] or None,
        "framework": row["framework"],
        "wrapper_framework": row["wrapper_framework"],
        "base_framework": row["base_framework"],
        "confidence": row["confidence"],
        "runs": row["runs"],
        "run_id": row["run_id"],
        "serial": row["serial"],
        "data_sources": sorted({*(row["data_sources"] or ())}),
        "last_step": row["last_step"],
        "target_step": progress.target_step,
        "progress": progress.progress,
        "step_rate": of_run.rate,
        "eta_s": progress.eta_s,
        "loss": None if loss is None else {"metric": loss, "value": latest.get(loss)},
        "sparkline": line,
        "last_values": {name: latest[name] for name in pulse.first_shown(tuple(latest))},
        "alerts": [],
        "pods": sorted({*(row["pods"] or ()), *(row["known_pods"] or ())}),
        "first_seen": row["first_seen"],
        "last_seen": row["last_seen"],
    }


def _words(row: Workload) -> list[str]:
    """What a reader's text is sought in."""
    fields = ("workload_uid", "name", "project", "framework", "base_framework", "namespace")
    return [row[field] for field in fields if row[field]]


async def _matching(database: Database, rows: Sequence[Workload], pattern: str) -> list[Workload]:
    """The workloads in one of whose names a pattern is found.

    PostgreSQL looks, not Python: its engine knows no catastrophic pattern but backreferences, it
    runs in a process of its own, and a statement that takes too long is cancelled.
    """
    texts = [word for row in rows for word in _words(row)]
    owners = [place for place, row in enumerate(rows) for _ in _words(row)]
    allowed = f"a regular expression of at most {LONGEST_PATTERN} characters"
    if len(pattern) > LONGEST_PATTERN:
        raise errors.BadQuery.of("regex", pattern, allowed)
    try:
        async with database.connection() as connection:
            found = await inventory.matching(
                connection, texts, pattern, within_ms=PATTERN_WITHIN_MS
            )
    except DataRefused as refusal:
        raise errors.BadQuery.of("regex", pattern, f"{allowed}; {refusal.message}") from refusal
    except errors.TookTooLong as slow:
        words = f"one that is found in {PATTERN_WITHIN_MS} ms"
        raise errors.BadQuery.of("regex", pattern, words) from slow
    return [rows[place] for place in sorted({owners[place] for place in found})]


def _page(rows: Sequence[Workload], asked: Asked, now: float) -> Page:
    sought = asked.q.lower()
    if sought:
        rows = [row for row in rows if sought in " ".join(_words(row)).lower()]
    facets = {facet: dict(_counted(rows, asked, facet)) for facet in _FACETS}
    wanted = _passing(rows, asked, _FACETS)
    ordered = _ordered(wanted, asked.sort, now)
    return Page(ordered[asked.offset : asked.offset + asked.limit], facets, total_count=len(wanted))


def _passing(rows: Sequence[Workload], asked: Asked, facets: Sequence[str]) -> Sequence[Workload]:
    """The workloads that have one of the values asked for, of each of these facets."""
    for facet in facets:
        wanted = frozenset(getattr(asked, facet))
        if wanted:
            rows = [row for row in rows if (row[facet] or "") in wanted]
    return rows


def _counted(rows: Sequence[Workload], asked: Asked, facet: str) -> list[tuple[str, int]]:
    """The values of a facet with their counts, most frequent first; its own filter left out."""
    others = [other for other in _FACETS if other != facet]
    counts = Counter(row[facet] or "" for row in _passing(rows, asked, others))
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _ordered(rows: Sequence[Workload], sort: str, now: float) -> list[Workload]:
    """Sorted; "-" turns it round. Who has no value comes last either way.

    Those who reported within a minute are equally fresh: else running jobs, which are equal in
    trouble, would change places at every look.
    """
    fresh_ms = (now - _FRESH_S) * 1000
    by = sort.removeprefix("-")
    newest_first = sorted(rows, key=lambda row: row["workload_uid"])
    newest_first.sort(key=lambda row: min(row["last_seen"], fresh_ms), reverse=True)
    key: Callable[[Workload], Any] = _trouble if by == "trouble" else lambda row: row[by]
    if by == "name":
        key = lambda row: (row["name"] or row["workload_uid"]).lower()  # noqa: E731
    present = [row for row in newest_first if key(row) is not None]
    absent = [row for row in newest_first if key(row) is None]
    present.sort(key=key, reverse=(by in _LARGEST_FIRST) != sort.startswith("-"))
    return present + absent


def _trouble(row: Workload) -> int:
    """The worse the smaller."""
    state = "alerted" if row["alerts"] and row["state"] in {"running", "unknown"} else row["state"]
    return _TROUBLE.index(state)
