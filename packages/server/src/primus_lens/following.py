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


class _Key(NamedTuple):
    """What tells a row from others; its value as text, since NaN does not equal itself."""

    time: float
    rest: tuple[object, ...]


def follow(
    client: Client, uid: str, *names: str, first: int, pause: Callable[[], object]
) -> Iterator[Row]:
    """The newest `first` points, then every new one, in order of time within an answer; endless.

    names: metrics; all without any. pause: called when there is nothing new. A value that is
    overwritten is told again. Raises LensApiError, also for a workload that nobody has heard of.
    """
    client.workload(uid)
    times = client.curve(uid, *names, x="time", max_points=4)["time"]
    since, tag = _since(max(times, default=0.0)), ""
    known: set[_Key] = set()
    begun = False
    while True:
        table, tag = client.curve_since(uid, *names, since=since, tag=tag)
        if table is None:
            pause()
            continue
        fresh = [row for row in _rows(table) if _key(row) not in known]
        yield from fresh if begun else fresh[len(fresh) - min(first, len(fresh)) :]
        known.update(map(_key, fresh))
        begun = True
        newest = max((row.time for row in fresh), default=0.0)
        if _since(newest) > since:
            since = _since(newest)
            known = {key for key in known if key.time >= since}


def _since(newest: float) -> float:
    """Where to read from: it moves in steps, since a tag belongs to one question."""
    return max(0.0, (newest // _WINDOW_S - 1) * _WINDOW_S)


def _rows(table: Columns) -> list[Row]:
    columns = (table["time"], table["run_id"], table["data_source"], table["metric"])
    rows = map(Row, *columns, table["step"], table["value"])
    return sorted(rows, key=lambda row: row[:-1])


def _key(row: Row) -> _Key:
    return _Key(row.time, (*row[1:-1], repr(row.value)))
