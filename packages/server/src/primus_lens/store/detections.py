"""framework_detection: what each source said of a workload's framework, and what it adds up to."""

from typing import Any

import asyncpg
import msgspec

from primus_lens.model.detections import (
    Detection,
    Evidence,
    Hints,
    MergedDetection,
)
from primus_lens.model.points import WorkloadUid
from primus_lens.store import statements

_SQL = statements.load("detections.sql")


class SourceReport(msgspec.Struct, frozen=True):
    """The surest report of one source. at: Unix seconds. detection: None when it shows nothing."""

    at: float
    evidence: Evidence
    hints: Hints
    detection: Detection | None = None


Sources = dict[str, SourceReport]


async def lock_sources(
    connection: asyncpg.Connection, workload_uid: WorkloadUid, *, now: float
) -> Sources:
    """What each source said before, locked until the transaction ends. now: Unix seconds."""
    stored = await connection.fetchval(_SQL["lock_detection"], workload_uid, now)
    return msgspec.json.decode(stored, type=Sources)


async def write(
    connection: asyncpg.Connection,
    workload_uid: WorkloadUid,
    *,
    sources: Sources,
    merged: MergedDetection | None,
    now: float,
) -> None:
    """Store what the sources say; without a merged detection there is no framework."""
    encoded = msgspec.json.encode(sources).decode()
    await connection.execute(_SQL["write_sources"], workload_uid, encoded, now)
    if merged is None:
        await connection.execute(_SQL["write_no_detection"], workload_uid, now)
        return
    await connection.execute(
        _SQL["write_detection"],
        workload_uid,
        merged.framework,
        merged.layer,
        merged.wrapper_framework,
        merged.base_framework,
        merged.confidence,
        merged.status,
        merged.method,
        msgspec.json.encode(merged.conflicts).decode(),
        now,
    )


async def read(connection: asyncpg.Connection, workload_uid: str) -> dict[str, Any] | None:
    """A workload's row as plain values, JSON columns parsed; None when there is none."""
    row = await connection.fetchrow(_SQL["read_detection"], workload_uid)
    if row is None:
        return None
    parsed = {name: msgspec.json.decode(row[name]) for name in ("sources", "conflicts")}
    return {**dict(row), **parsed}
