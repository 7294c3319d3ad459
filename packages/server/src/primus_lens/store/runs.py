"""The runs of a workload: their serials, what they say of themselves, what they lost."""

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import msgspec

from primus_lens.model.points import Gap, RunId, Sender, WorkloadUid
from primus_lens.store import statements

_SQL = statements.load("runs.sql")
_STREAMS = statements.load("streams.sql")

RunKey = tuple[WorkloadUid, RunId]
"""(workload_uid, run_id)"""


async def serials(
    connection: asyncpg.Connection, senders: Mapping[RunKey, Sender], *, now: float
) -> tuple[dict[RunKey, int], set[RunKey]]:
    """The serial of every run, and which have not told what they are. now: Unix seconds.

    A new run gets its workload's next serial.
    """
    asked = sorted(senders)
    rows = await connection.fetch(
        _SQL["find_runs"], [key[0] for key in asked], [key[1] for key in asked]
    )
    found = {(row["workload_uid"], row["run_id"]): row["serial"] for row in rows}
    told = {(row["workload_uid"], row["run_id"]) for row in rows if row["told"]}
    for workload_uid, run_id in asked:
        if (workload_uid, run_id) not in found:
            await connection.execute(_SQL["lock_workload"], workload_uid)
            pod = msgspec.json.encode(pod_facts(senders[workload_uid, run_id])).decode()
            serial = await connection.fetchval(_SQL["open_run"], workload_uid, run_id, now, pod)
            found[workload_uid, run_id] = serial
    return found, found.keys() - told


def pod_facts(sender: Sender) -> dict[str, str]:
    """Where a run runs, as far as its reports say."""
    given = {
        "pod_name": sender.pod_name,
        "namespace": sender.namespace,
        "pod_uid": sender.pod_uid,
    }
    return {name: value for name, value in given.items() if value}


async def note_facts(
    connection: asyncpg.Connection,
    *,
    workload_uid: str,
    serial: int,
    facts: Mapping[str, Any],
    definitions: Sequence[Mapping[str, Any]],
    target_step: int | None = None,
    attempt_at: float | None = None,
) -> None:
    """Lay what a run says of itself over what is known.

    target_step: None where it says none. attempt_at: when its attempt began by our clock, Unix
    seconds; None where it names none.
    """
    by_name = {each["name"]: each for each in definitions}
    await connection.execute(
        _SQL["note_run_facts"],
        workload_uid,
        serial,
        msgspec.json.encode(facts).decode(),
        msgspec.json.encode(by_name).decode(),
        target_step,
        attempt_at,
    )


async def note_gaps(
    connection: asyncpg.Connection,
    *,
    workload_uid: str,
    run_id: str,
    stream: str,
    gaps: Sequence[Gap],
    now: float,
) -> None:
    """Remember records that a stream lost for good; told twice is told once."""
    await connection.execute(
        _STREAMS["note_gaps"],
        workload_uid,
        run_id,
        stream,
        [gap.first for gap in gaps],
        [gap.last for gap in gaps],
        [gap.points for gap in gaps],
        [gap.reason for gap in gaps],
        now,
    )
