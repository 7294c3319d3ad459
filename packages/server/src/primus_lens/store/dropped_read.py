"""Points that stand in chunks alone, in order of time, for the readers of rows (points_read).

A range is unpacked when its turn comes, so what is held in memory is what overlaps in time.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

import asyncpg

from primus_lens.store import chunks, statements
from primus_lens.store.dropped import places_of, told

_SQL = statements.load("retention.sql")

Told = Mapping[str, Any]
"""A row of points_read: timestamp (ms), iteration, serial, data_source, and its own fields"""

_Order = tuple[int, int, int, str]
"""timestamp, iteration, serial, metric: in which rows are told"""

Unpack = Callable[[Told, Sequence[Told]], list[tuple[_Order, Told]]]


async def ranges(
    connection: asyncpg.Connection, workload_uid: str, data_source: str, end_ms: int | None
) -> list[asyncpg.Record]:
    """The ranges without rows of a source ("" for all) that begin by end_ms, the earliest first."""
    found: list[asyncpg.Record] = await connection.fetch(
        _SQL["dropped_ranges"], workload_uid, data_source, end_ms
    )
    return found


def points_of(keys: Sequence[str] | None, start_ms: int | None, end_ms: int | None) -> Unpack:
    """What unpacks a range to points. keys: stored names, None for all. Bounds included."""
    wanted = None if keys is None else frozenset(keys)

    def unpack(axis: Told, packed: Sequence[Told]) -> list[tuple[_Order, Told]]:
        steps = chunks.unpack(axis["steps"]).tolist()
        times = chunks.unpack(axis["times"]).tolist()
        rows: list[tuple[_Order, Told]] = []
        for chunk in packed:
            key = chunk["key"]
            if wanted is not None and key not in wanted:
                continue
            places = places_of(chunk, len(steps))
            own = None if chunk["times"] is None else chunks.unpack(chunk["times"]).tolist()
            for i, number in enumerate(chunks.unpack(chunk["numbers"]).tolist()):
                step, at = steps[places[i]], times[places[i]] if own is None else own[i]
                if _within(at, start_ms, end_ms):
                    row = {"key": key, "value": told(number)}
                    rows.append(_row(axis, at, step, row))
        return sorted(rows, key=lambda row: row[0])

    return unpack


def steps_of(start_ms: int | None, end_ms: int | None) -> Unpack:
    """What unpacks a range to its steps and their targets. Bounds included."""

    def unpack(axis: Told, packed: Sequence[Told]) -> list[tuple[_Order, Told]]:
        steps = chunks.unpack(axis["steps"]).tolist()
        targets: dict[int, str] = {}
        for chunk in packed:
            if chunk["key"] == "target_iteration":
                numbers = map(told, chunks.unpack(chunk["numbers"]).tolist())
                targets = dict(zip(places_of(chunk, len(steps)), numbers, strict=True))
        rows = [
            _row(axis, at, step, {"target_iteration": targets.get(place)})
            for place, (step, at) in enumerate(
                zip(steps, chunks.unpack(axis["times"]).tolist(), strict=True)
            )
            if _within(at, start_ms, end_ms)
        ]
        return sorted(rows, key=lambda row: row[0])

    return unpack


def _within(at: int, start_ms: int | None, end_ms: int | None) -> bool:
    return (start_ms is None or at >= start_ms) and (end_ms is None or at <= end_ms)


def _row(axis: Told, at: int, step: int, more: dict[str, Any]) -> tuple[_Order, Told]:
    source = {"data_source": axis["data_source"], "serial": axis["serial"]}
    order = at, step, axis["serial"], more.get("key", "")
    return order, {"timestamp": at, "iteration": step, **source, **more}


async def among(
    connection: asyncpg.Connection,
    workload_uid: str,
    without_rows: Sequence[asyncpg.Record],
    unpack: Unpack,
    rows: AsyncIterator[Told],
) -> AsyncIterator[Told]:
    """The rows of a statement and those of ranges without rows, in one order of time."""
    others = _in_order(connection, workload_uid, without_rows, unpack)
    other = await anext(others, None)
    async for row in rows:
        place = row["timestamp"], row["iteration"], row["serial"]
        while other is not None and other[0][:3] <= place:
            yield other[1]
            other = await anext(others, None)
        yield row
    while other is not None:
        yield other[1]
        other = await anext(others, None)


async def _in_order(
    connection: asyncpg.Connection,
    workload_uid: str,
    without_rows: Sequence[asyncpg.Record],
    unpack: Unpack,
) -> AsyncIterator[tuple[_Order, Told]]:
    """The rows of ranges, each fetched once everything before its first has been told."""
    waiting = list(reversed(without_rows))
    heads: list[tuple[_Order, int, Told, Iterator[tuple[_Order, Told]]]] = []
    while waiting or heads:
        while waiting and (not heads or waiting[-1]["from_ms"] <= heads[0][0][0]):
            axis = waiting.pop()
            packed = await connection.fetch(_SQL["chunks_of_range"], workload_uid, axis["axis_id"])
            of_range = iter(await asyncio.to_thread(unpack, axis, packed))  # 2 us a point
            _push(heads, axis["axis_id"], of_range)
        if heads:
            order, axis_id, row, of_range = heapq.heappop(heads)
            yield order, row
            _push(heads, axis_id, of_range)


def _push(
    heads: list[tuple[_Order, int, Told, Iterator[tuple[_Order, Told]]]],
    axis_id: int,
    of_range: Iterator[tuple[_Order, Told]],
) -> None:
    """The next row of a range among the heads; axis_id keeps equal ones apart."""
    head = next(of_range, None)
    if head is not None:
        heapq.heappush(heads, (head[0], axis_id, head[1], of_range))
