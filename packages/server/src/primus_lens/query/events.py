"""What happened to workloads, for the annotations of a graph: begins, restarts, ends, alerts.

Comes after routes/grafana; reads what store/grafana finds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from primus_lens.store import grafana
from primus_lens.store.database import Database

MOST_EVENTS = 1_000  # of an answer, the newest; more lines than a graph has pixels tell nothing


class Event(msgspec.Struct, frozen=True):
    """Something that happened. kind: start, restart, end, alert.

    at: Unix milliseconds. until: likewise, of an alert that is over.
    """

    at: int
    kind: str
    title: str
    text: str
    tags: list[str]
    until: int | None = None


async def events(
    database: Database, workloads: Sequence[str] | None, *, start_ms: int, end_ms: int
) -> list[Event]:
    """What happened to some workloads in a range, in order of time; None: to any workload."""
    span = {"start_s": start_ms / 1000, "end_s": end_ms / 1000}
    async with database.connection() as connection:
        of_runs = await grafana.events(connection, workloads, **span, most=MOST_EVENTS)
        alerts = await grafana.alerts(connection, workloads, **span, most=MOST_EVENTS)
    found = [*map(_of_run, of_runs), *map(_of_alert, alerts)]
    return sorted(found, key=lambda event: event.at)[-MOST_EVENTS:]


def _of_alert(row: Mapping[str, Any]) -> Event:
    until = row["until"]
    return Event(
        at=round(row["at"] * 1000),
        kind="alert",
        title=f"{row['kind']}: {row['metric'] or row['run_id']}",
        text=row["text"],
        tags=["alert", row["workload_uid"], row["kind"]],
        until=None if until is None else round(until * 1000),
    )


def _of_run(row: Mapping[str, Any]) -> Event:
    first = row["serial"] == 1
    kind = {"started": "start" if first else "restart", "restarted": "restart"}.get(
        row["kind"], "end"
    )
    state = row["state"] or "ended"
    what = {
        "started": "started" if first else f"restarted as run {row['serial']}",
        "restarted": "taken up again",
        "ended": state + ("" if row["exit_code"] is None else f", exit code {row['exit_code']}"),
    }[row["kind"]]
    tags = [kind, row["workload_uid"], *([state] if kind == "end" else [])]
    name = row["name"] or row["run_id"]
    text = f"workload {row['workload_uid']}, run {row['run_id']}"
    return Event(round(row["at"] * 1000), kind, f"{name} {what}", text, tags)
