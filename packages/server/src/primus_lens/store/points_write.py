"""Rows into training_performance, the newest values into run_last. Set-wise: one statement a layer.

Comes after ingest/intake has resolved workloads and runs; what is written here is read by
points_read. Design B of the measurements: JSONB row per step, unnest, one upsert.
"""

import datetime as dt
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import msgspec

from primus_lens.model import naming
from primus_lens.model.points import PlacedRow, Row
from primus_lens.store import dropped, pulse, statements
from primus_lens.store.pulse import is_number

_SQL = statements.load("points_write.sql")
_CHUNKS = statements.load("chunks.sql")


async def merge_steps(connection: asyncpg.Connection, rows: Sequence[PlacedRow]) -> None:
    """Store a layer of rows: no (workload, source, serial, step) may come twice in it."""
    await connection.execute(
        _SQL["merge_steps"],
        [placed.workload_uid for placed in rows],
        [placed.pod_uid for placed in rows],
        [placed.serial for placed in rows],
        [placed.row.step for placed in rows],
        [placed.row.data_source for placed in rows],
        [performance(placed.row) for placed in rows],
        [placed.row.at for placed in rows],
        [_times(placed.row) for placed in rows],
    )


def performance(row: Row) -> str:
    """A row as the specification's performance document, in JSON."""
    document: dict[str, Any] = {
        "source": row.data_source,
        "run_id": row.run_id,
        "step": row.step,
        "created_at": _rfc3339(int(row.at)),
    }
    document |= _stored(row.metrics)
    return msgspec.json.encode(document).decode()


def _stored(named: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same under stored names. Hardly a row has a name to escape; one look tells, in 1 us."""
    if named.keys().isdisjoint(naming.METADATA_FIELDS) and naming.ESCAPE not in "\n".join(named):
        return named
    return {naming.stored_name(name): value for name, value in named.items()}


def _times(row: Row) -> str | None:
    if not row.times:
        return None
    return msgspec.json.encode(_stored(row.times)).decode()


@functools.lru_cache(maxsize=4096)  # the rows of a batch share few seconds
def _rfc3339(at: int) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def note_latest(
    connection: asyncpg.Connection, rows: Sequence[PlacedRow], *, now: float
) -> None:
    """Move run_last forward, and mark the chunks that the rows have made stale.

    now: Unix seconds of the server's clock. In this order, which compaction relies on: the row of
    run_last is locked first, then the ranges that are there by then are marked.
    """
    latest: dict[tuple[str, int, str], tuple[float, list[Row], dict[str, Any]]] = {}
    # Of those of one time and step the last to come is the newest.
    oldest_first = sorted(rows, key=lambda placed: (placed.at_ours, placed.row.step))
    for placed in reversed(oldest_first):
        key = (placed.workload_uid, placed.serial, placed.row.data_source)
        _, newest_first, values = latest.setdefault(key, (placed.at_ours, [], {}))
        newest_first.append(placed.row)
        metrics = placed.row.metrics
        if not metrics.keys() <= values.keys():  # mostly the newest row has told them all
            values.update({n: v for n, v in metrics.items() if n not in values and is_number(v)})
    ordered = sorted(latest.items())  # one locking order for all replicas
    pulses = [pulse.of_rows(of_run, values) for _, (_, of_run, values) in ordered]
    sealed = await connection.fetch(
        _SQL["note_latest"],
        [key[0] for key, _ in ordered],
        [key[1] for key, _ in ordered],
        [key[2] for key, _ in ordered],
        [of_run[0].step for _, (_, of_run, _) in ordered],
        [of_run[0].at for _, (_, of_run, _) in ordered],
        [msgspec.json.encode(values).decode() for _, (_, _, values) in ordered],
        [each.loss for each in pulses],
        [each.loss_rank for each in pulses],
        [each.recent_steps for each in pulses],
        [each.recent_losses for each in pulses],
        [each.touched for each in pulses],
        [each.shown for each in pulses],
        now,
        [at_ours for _, (at_ours, _, _) in ordered],
    )
    await _mark_changed(connection, rows, sealed, now=now)


async def _mark_changed(
    connection: asyncpg.Connection,
    rows: Sequence[PlacedRow],
    sealed: Sequence[asyncpg.Record],
    *,
    now: float,
) -> None:
    """Most transactions only add steps after the sealed ones: then there is nothing to mark."""
    sealed_steps = {
        (row["workload_uid"], row["serial"], row["data_source"]): row["sealed_step"]
        for row in sealed
    }
    late = {
        (placed.workload_uid, placed.row.data_source, placed.serial, placed.row.step)
        for placed in rows
        if placed.row.step
        <= sealed_steps[placed.workload_uid, placed.serial, placed.row.data_source]
    }
    if late:
        fields = zip(*sorted(late), strict=True)
        gone = await connection.fetch(_CHUNKS["mark_changed"], *map(list, fields), now)
        for row in gone:
            await dropped.restore(connection, row["workload_uid"], row["axis_id"])
