"""The points of a streamed answer, one by one, however long it is."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

_START = '"data":['
_NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_decode = json.JSONDecoder().raw_decode


class Point(NamedTuple):
    """One number a run reported.

    time: Unix seconds, to the millisecond. value: an int keeps all its digits; NaN and infinities
    are floats. data_source: who reported it, such as wandb.
    """

    metric: str
    step: int
    time: float
    value: int | float
    data_source: str


def number(told: float | str) -> int | float:
    """A value of the wire as a number: "NaN", "Infinity", "-Infinity" are floats."""
    return _NOT_FINITE[told] if isinstance(told, str) else told


def streamed(chunks: Iterable[str]) -> Iterator[Point]:
    """The points in an answer of `metrics/data`. chunks: its text, cut anywhere.

    Keeps no more than a chunk and a point in memory. Raises EOFError when the answer broke off.
    """
    text, started = "", False
    for chunk in chunks:
        text += chunk
        if not started:
            start = text.find(_START)
            if start < 0:
                continue
            text, started = text[start + len(_START) :], True
        at = 0
        while True:
            if text.startswith(",", at):
                at += 1
            if text.startswith("]", at):
                return
            try:
                row, end = _decode(text, at)
            except ValueError:  # the rest of it is in the next chunk
                break
            yield _point(row)
            at = end
        text = text[at:]
    raise EOFError("the answer broke off")


def _point(row: dict[str, Any]) -> Point:
    return Point(
        row["metric_name"],
        row["iteration"],
        row["timestamp"] / 1000,
        number(row["value"]),
        row["data_source"],
    )
