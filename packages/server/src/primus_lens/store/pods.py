"""Which pods belong to which workloads, and the reports of pods that nobody has seen yet."""

import time
from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec

from primus_lens.model.pods import Pod
from primus_lens.model.points import Sender, WorkloadUid
from primus_lens.store import statements
from primus_lens.store.database import Database

_SQL = statements.load("pods.sql")


class Parked(msgspec.Struct, frozen=True):
    """A report that waits for its pod. kind: "report" or "detection"; body: its JSON.

    run_id: None if it may be any run's. was_set_aside: it met a bug of ours when last tried.
    """

    id: int
    sender: Sender
    kind: str
    run_id: str | None
    body: bytes
    was_set_aside: bool

    def must_follow(self, ahead: "Parked") -> bool:
        """Whether it may not be stored before one that came earlier: they tell of one run."""
        if (self.sender, self.kind) != (ahead.sender, ahead.kind):
            return False
        return None in {self.run_id, ahead.run_id} or self.run_id == ahead.run_id


class Expired(msgspec.Struct, frozen=True):
    """What was given up because its pod never appeared."""

    reports: int
    points: int


async def workloads_of(
    connection: asyncpg.Connection, senders: Sequence[Sender]
) -> list[list[WorkloadUid]]:
    """The workloads of each sender's pod, in the order asked; none for a pod nobody has seen."""
    rows = await connection.fetch(_SQL["workloads_of_pods"], *_columns(senders))
    found: list[list[WorkloadUid]] = [[] for _ in senders]
    for row in rows:
        found[row["place"] - 1].append(WorkloadUid(row["workload_uid"]))
    return found


async def add(connection: asyncpg.Connection, pods: Sequence[Pod], *, now: float) -> int:
    """Remember pods of workloads. Returns how many were not known. now: Unix seconds."""
    uids = [pod.workload_uid for pod in pods]
    return len(await connection.fetch(_SQL["add_pods"], uids, *_columns(pods), now))


async def put(database: Database, pods: Sequence[Pod]) -> int:
    """Remember pods of workloads from now on. Returns how many were not known."""
    async with database.connection() as connection:
        return await add(connection, pods, now=time.time())


async def learn(connection: asyncpg.Connection, senders: Sequence[Sender], *, now: float) -> None:
    """Remember the pods that reports name together with their workload.

    Only pods that are one certain pod, by uid or at least by namespace: a bare name such as a
    host's may stand for many.
    """
    told = {
        Pod(sender.workload_uid, sender.namespace, sender.pod_name, sender.pod_uid)
        for sender in senders
        if sender.workload_uid and (sender.pod_uid or (sender.pod_name and sender.namespace))
    }
    if told:
        await add(connection, list(told), now=now)


async def listed(
    connection: asyncpg.Connection, *, workload_uid: str, pod_name: str, limit: int, offset: int
) -> tuple[list[dict[str, Any]], int]:
    """A page of pods, and how many there are in all. seen_at: Unix milliseconds."""
    rows = await connection.fetch(_SQL["list_pods"], workload_uid, pod_name, limit, offset)
    total = await connection.fetchval(_SQL["count_pods"], workload_uid, pod_name)
    return [dict(row) for row in rows], total


async def remove(connection: asyncpg.Connection, pod: Pod) -> int:
    """Forget a workload's pods that agree with this one; an empty field agrees with any."""
    rows = await connection.fetch(
        _SQL["remove_pods"], pod.workload_uid, pod.namespace, pod.pod_name, pod.pod_uid
    )
    return len(rows)


async def park(
    connection: asyncpg.Connection,
    sender: Sender,
    *,
    kind: str,
    body: bytes,
    now: float,
    run_id: str = "",
    points: int = 0,
) -> None:
    """Keep a report until its pod is known. now: Unix seconds of its arrival."""
    pod = sender.namespace, sender.pod_name, sender.pod_uid
    await connection.execute(_SQL["park_report"], *pod, kind, run_id, body, now, points)


async def claim_parked(connection: asyncpg.Connection, *, most: int, now: float) -> list[Parked]:
    """The oldest reports whose pod is known by now; none while another replica attaches some.

    Nobody else gets any until the transaction ends. Not those set aside until after now (Unix
    seconds), nor what must follow them.
    """
    if not await connection.fetchval(_SQL["try_lock_parked"]):
        return []
    rows = await connection.fetch(_SQL["claim_parked"], most, now)
    return [
        Parked(
            row["id"],
            Sender("", row["pod_uid"], row["pod_name"], row["namespace"]),
            row["kind"],
            row["run_id"],
            row["body"],
            row["was_set_aside"],
        )
        for row in rows
    ]


async def waiting(connection: asyncpg.Connection, senders: Sequence[Sender]) -> set[Sender]:
    """Those of the pods of which points wait, to be attached or for the pod to be known."""
    rows = await connection.fetch(_SQL["pods_that_wait"], *_columns(senders))
    return {Sender("", row["pod_uid"], row["pod_name"], row["namespace"]) for row in rows}


async def set_aside(
    connection: asyncpg.Connection, parked: Sequence[Parked], *, until: float
) -> None:
    """Let others go on before reports, which are not tried again until a Unix second."""
    await connection.execute(_SQL["set_aside"], [each.id for each in parked], until)


async def unpark(connection: asyncpg.Connection, parked: Sequence[Parked]) -> None:
    """Forget reports that wait no longer."""
    await connection.execute(_SQL["unpark"], [each.id for each in parked])


async def expire_parked(connection: asyncpg.Connection, *, before: float, most: int) -> Expired:
    """Give up some of the reports that were parked before a moment in Unix seconds."""
    row = await connection.fetchrow(_SQL["expire_parked"], before, most)
    return Expired(row["reports"], row["points"])


def _columns(pods: Sequence[Sender] | Sequence[Pod]) -> tuple[list[str], ...]:
    return (
        [pod.namespace for pod in pods],
        [pod.pod_name for pod in pods],
        [pod.pod_uid for pod in pods],
    )
