"""What happened to workloads, for the annotations of a graph: begins, restarts, ends.

Comes after routes/grafana; reads what store/grafana finds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from primus_lens.store import grafana
from primus_lens.store.database import Database

MOST_EVENTS = 1_000  # of an answer, the newest; more lines than a graph has pixels tell nothing


class Event(msgspec.Struct, frozen=True):
    """Something that happened. at: Unix milliseconds. kind: start, restart, end."""

    at: int
    kind: str
    title: str
    text: str
    tags: list[str]


async def events(
    database: Database, workloads: Sequence[str] | None, *, start_ms: int, end_ms: int
) -> list[Event]:
    """What happened to some workloads in a range, in order of time; None: to any workload."""
    async with database.connection() as connection:
        rows = await grafana.events(
            connection,
            workloads,
            start_s=start_ms / 1000,
            end_s=end_ms / 1000,
            most=MOST_EVENTS,
        )
    return [_of_run(row) for row in rows]


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
