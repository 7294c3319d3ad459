"""Rows of many reports, arranged for set-wise writing.

One statement can write a step only once. Within a layer no step of a run comes twice; layers are
written one after another, which keeps the order of arrival.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from primus_lens.model.points import PlacedRow, Row, same


def layers(rows: Iterable[PlacedRow]) -> list[list[PlacedRow]]:
    """Rows of one step that agree are joined; where a value changes, the next layer begins."""
    stacks: dict[tuple[str, int, str, int], list[PlacedRow]] = {}
    for placed in rows:
        row = placed.row
        key = (placed.workload_uid, placed.serial, row.data_source, row.step)
        stack = stacks.setdefault(key, [])
        if stack and _agree(stack[-1].row.metrics, row.metrics):
            joined = _joined(stack[-1].row, row)
            stack[-1] = msgspec.structs.replace(stack[-1], row=joined)
        else:
            stack.append(placed)
    depth = max(map(len, stacks.values()), default=0)
    return [[stack[i] for stack in stacks.values() if i < len(stack)] for i in range(depth)]


def _agree(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return all(name not in old or same(old[name], value) for name, value in new.items())


def _joined(old: Row, new: Row) -> Row:
    """Both rows in one; the time stays the first one's, later points carry their own."""
    times = dict(old.times)
    for name in new.metrics.keys() - old.metrics.keys():
        at = new.times.get(name, new.at)
        if at != old.at:
            times[name] = at
    metrics = {**new.metrics, **old.metrics}
    return Row(old.run_id, old.data_source, old.step, old.at, metrics, times)
