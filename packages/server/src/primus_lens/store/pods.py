"""Which pods belong to which workloads, and the reports of pods that nobody has seen yet."""

from collections.abc import Sequence

import asyncpg
import msgspec

from primus_lens.model.points import Sender, WorkloadUid
from primus_lens.store import statements

_SQL = statements.load("pods.sql")


class Parked(msgspec.Struct, frozen=True):
    """A report that waits for its pod. kind: "report" or "detection"; body: its JSON."""

    id: int
    sender: Sender
    kind: str
    body: bytes


async def workloads_of(
    connection: asyncpg.Connection, senders: Sequence[Sender]
) -> list[list[WorkloadUid]]:
    """The workloads of each sender's pod, in the order asked; none for a pod nobody has seen."""
    rows = await connection.fetch(
        _SQL["workloads_of_pods"],
        [sender.namespace for sender in senders],
        [sender.pod_name for sender in senders],
        [sender.pod_uid for sender in senders],
    )
    found: list[list[WorkloadUid]] = [[] for _ in senders]
    for row in rows:
        found[row["place"] - 1].append(WorkloadUid(row["workload_uid"]))
    return found


async def park(
    connection: asyncpg.Connection, sender: Sender, *, kind: str, body: bytes, now: float
) -> None:
    """Keep a report until its pod is known. now: Unix seconds of its arrival."""
    await connection.execute(
        _SQL["park_report"], sender.namespace, sender.pod_name, sender.pod_uid, kind, body, now
    )


async def claim_parked(connection: asyncpg.Connection, *, most: int) -> list[Parked]:
    """The oldest reports whose pod is known by now, locked until the transaction ends."""
    rows = await connection.fetch(_SQL["claim_parked"], most)
    return [
        Parked(
            row["id"],
            Sender("", row["pod_uid"], row["pod_name"], row["namespace"]),
            row["kind"],
            row["body"],
        )
        for row in rows
    ]


async def unpark(connection: asyncpg.Connection, parked: Sequence[Parked]) -> None:
    """Forget reports that have been stored."""
    await connection.execute(_SQL["unpark"], [each.id for each in parked])
