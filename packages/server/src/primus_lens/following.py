"""New points of a workload as they arrive. Comes before cli_read."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from primus_lens.client import Client, Columns, LensApiError
from primus_lens.client.frames import columns

_WINDOW_S = 60.0  # before the newest point: what is read to begin with


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
    """The newest `first` points, then every new one, in order of time within an event; endless.

    names: metrics; all without any. pause: called before coming back after a cut. A value that is
    overwritten is told again. Raises LensApiError for what the server refuses, also for a workload
    that nobody has heard of.
    """
    client.workload(uid)
    newest = max(client.curve(uid, *names, x="time", max_points=4)["time"], default=0.0)
    table, place = client.curve_since(uid, *names, since=max(0.0, newest - _WINDOW_S))
    known = _rows(table)
    yield from known[len(known) - min(first, len(known)) :]
    while True:
        try:
            for event in client.live(uid, *names, place=place):
                if event.kind == "points":
                    yield from _rows(columns(uid, event.data["series"]))
                place = event.place
        except LensApiError as cut:
            if cut.status is not None and cut.retry_after_s is None:
                raise
        pause()


def _rows(table: Columns) -> list[Row]:
    keys = (table["time"], table["run_id"], table["data_source"], table["metric"])
    rows = map(Row, *keys, table["step"], table["value"])
    return sorted(rows, key=lambda row: row[:-1])
