"""New points of a workload as they arrive. Comes before cli_read."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from primus_lens.client import Client, Columns

_WINDOW_S = 60.0  # how late a point may arrive, behind newer ones, and still be told


class Row(NamedTuple):
    """One new point. time: Unix seconds."""

    time: float
    run_id: str
    data_source: str
    metric: str
    step: int
    value: float


def follow(
    client: Client, uid: str, *names: str, first: int, pause: Callable[[], object]
) -> Iterator[Row]:
    """The newest `first` points, then every new one, in order of time within an answer; endless.

    names: metrics; all without any. pause: called when there is nothing new. A value that is
    overwritten is told again. Raises LensApiError, also for a workload that nobody has heard of.
    """
    client.workload(uid)
    times = client.curve(uid, *names, x="time", max_points=4)["time"]
    since = _since(max(times, default=0.0))
    known: dict[Row, None] = {}
    table, tag = client.curve_since(uid, *names, since=since, tag="")
    rows = _rows(table)
    known.update(dict.fromkeys(map(_key, rows)))
    yield from rows[len(rows) - min(first, len(rows)) :]
    while True:
        table, tag = client.curve_since(uid, *names, since=since, tag=tag)
        if table is None:
            pause()
            continue
        fresh = [row for row in _rows(table) if _key(row) not in known]
        known.update(dict.fromkeys(map(_key, fresh)))
        yield from fresh
        newest = max((row.time for row in fresh), default=0.0)
        if _since(newest) > since:
            since = _since(newest)
            known = {row: None for row in known if row.time >= since}


def _since(newest: float) -> float:
    """Where to read from: it moves in steps, since a tag belongs to one question."""
    return max(0.0, (newest // _WINDOW_S - 1) * _WINDOW_S)


def _rows(table: Columns | None) -> list[Row]:
    if table is None:
        return []
    order = ("time", "run_id", "data_source", "metric", "step", "value")
    return sorted(Row(*cells) for cells in zip(*(table[name] for name in order), strict=True))


def _key(row: Row) -> Row:
    """A row that equals itself even where its value is NaN, which equals nothing."""
    return row if row.value == row.value else row._replace(value=0.5, metric=f"{row.metric} NaN")
