"""One workload in full: its runs, its framework, its metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from primus_lens.model import errors
from primus_lens.query import curves, pace
from primus_lens.store import detections, inventory
from primus_lens.store.database import Database

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


async def workload(database: Database, workload_uid: str, *, now: float) -> dict[str, Any]:
    """One workload. now: Unix seconds. Raises NotKnown where nothing was ever reported."""
    async with database.connection() as connection:
        runs = await inventory.runs(connection, workload_uid)
        detection = await detections.read(connection, workload_uid)
    if not runs and detection is None:
        raise errors.NotKnown(f"no workload {workload_uid} has reported anything yet")
    return {
        "workload_uid": workload_uid,
        "runs": shown(runs, now),
        "detection": detection,
        "metrics": await curves.available(database, workload_uid, ""),
    }


def shown(runs: Sequence[Mapping[str, Any]], now: float) -> list[dict[str, Any]]:
    """Runs as store/inventory reads them, as readers get them. now: Unix seconds."""
    paces = pace.paces([run["recent_steps"] or b"" for run in runs])
    begun = [run["first_seen"] for run in runs]
    return [
        _run(run, of_run, now_ms=now * 1000, newest_begun=max(begun, default=0))
        for run, of_run in zip(runs, paces, strict=True)
    ]


def _run(
    run: Mapping[str, Any], of_run: pace.Pace, *, now_ms: float, newest_begun: int
) -> dict[str, Any]:
    facts = run["facts"]
    heard = run["last_seen"] or run["first_seen"]
    state = pace.state(
        facts.get("state"),
        silent_s=(now_ms - heard) / 1000,
        gap_s=of_run.gap_s,
        followed=newest_begun > heard,
    )
    progress = pace.progress(
        msgspec.json.decode(run["last_values"] or "{}"),
        last_step=run["last_step"],
        configured=run["target_step"],
        rate=of_run.rate,
        state=state,
    )
    return {
        "serial": run["serial"],
        "run_id": run["run_id"],
        **{name: facts.get(name) for name in _OF_A_RUN},
        "state": state,
        "started_at": _milliseconds(facts.get("started_at")) or run["first_seen"],
        "ended_at": _milliseconds(facts.get("ended_at")),
        "last_seen": run["last_seen"],
        "last_step": run["last_step"],
        "target_step": progress.target_step,
        "progress": progress.progress,
        "step_rate": of_run.rate,
        "eta_s": progress.eta_s,
        "definitions": run["definitions"],
        "pod_name": facts.get("pod_name"),
        "rank": facts.get("rank"),
        "world_size": facts.get("world_size"),
    }


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
