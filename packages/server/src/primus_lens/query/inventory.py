"""The workloads there are, and one of them in full."""

from collections.abc import Mapping
from typing import Any

from primus_lens.model import errors
from primus_lens.query import curves
from primus_lens.store import detections, inventory
from primus_lens.store.database import Database

SHOWN_VALUES = 6  # latest values in a list of workloads
_OF_A_RUN = (
    "name",
    "project",
    "group",
    "job_type",
    "state",
    "exit_code",
    "config",
    "summary",
    "tags",
)


async def workloads(
    database: Database, *, sought: str, limit: int, offset: int
) -> tuple[list[dict[str, Any]], int]:
    """A page of workloads, the most recently heard first, and how many there are in all."""
    async with database.connection() as connection:
        found = await inventory.workloads(connection, sought=sought, limit=limit, offset=offset)
    total = found[0]["total"] if found else 0
    return [_summary(row) for row in found], total


def _summary(row: Mapping[str, Any]) -> dict[str, Any]:
    summary = {name: value for name, value in row.items() if name != "total"}
    summary["state"] = row["state"] or "unknown"
    summary["data_sources"] = row["data_sources"] or []
    summary["pods"] = row["pods"] or []
    # Losses first: they are what a fleet is looked at for.
    ranked = sorted(row["last_values"].items(), key=lambda item: ("loss" not in item[0], item[0]))
    summary["last_values"] = dict(ranked[:SHOWN_VALUES])
    return summary


async def workload(database: Database, workload_uid: str) -> dict[str, Any]:
    """One workload: its runs, its framework, its metrics. Raises NotKnown without any."""
    async with database.connection() as connection:
        runs = await inventory.runs(connection, workload_uid)
        detection = await detections.read(connection, workload_uid)
    if not runs and detection is None:
        raise errors.NotKnown(f"no workload {workload_uid} has reported anything yet")
    return {
        "workload_uid": workload_uid,
        "runs": [_run(run) for run in runs],
        "detection": detection,
        "metrics": await curves.available(database, workload_uid, ""),
    }


def _run(run: Mapping[str, Any]) -> dict[str, Any]:
    facts = run["facts"]
    return {
        "serial": run["serial"],
        "run_id": run["run_id"],
        **{name: facts.get(name) for name in _OF_A_RUN},
        "state": facts.get("state", "unknown"),
        "started_at": _milliseconds(facts.get("started_at")) or run["first_seen"],
        "ended_at": _milliseconds(facts.get("ended_at")),
        "last_seen": run["last_seen"],
        "last_step": run["last_step"],
        "definitions": run["definitions"],
        "pod_name": facts.get("pod_name"),
        "rank": facts.get("rank"),
        "world_size": facts.get("world_size"),
    }


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
