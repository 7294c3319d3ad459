"""Rows to columns to bytes, and back. Pure: the database is compaction's and chunk_read's affair.

A range of steps has one axis (its steps and their times); each series of it has a chunk: its
numbers, and only where they differ its own positions on the axis and its own times. Everything is
packed by pcodec, which gives back every bit: NaN, infinities and -0.0 included.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pcodec import ChunkConfig, standalone

from primus_lens.model import naming

Steps = NDArray[np.int64]
Times = NDArray[np.int64]
Numbers = NDArray[np.float64]
Positions = NDArray[np.uint32]

_CONFIG = ChunkConfig()
_DOCUMENT = msgspec.json.Decoder(dict[str, Any])
_TIMES = msgspec.json.Decoder(dict[str, int])


class StoredStep(msgspec.Struct, frozen=True):
    """A row of training_performance. at_ms: Unix milliseconds. document: JSON.

    times_ms: JSON object with the times of the metrics that have their own, or None.
    """

    step: int
    at_ms: int
    document: str
    times_ms: str | None = None


class Axis(msgspec.Struct, frozen=True):
    """What the series of a range share: n steps, ascending, and their times in Unix ms."""

    steps: Steps
    times: Times


class Column(msgspec.Struct, frozen=True):
    """One series in one range.

    positions: the places on the axis that have a point; None means all. times: Unix ms of the
    points where one differs from its step's; None means none does. inexact: how many are integers
    that float64 cannot hold.
    """

    key: str
    numbers: Numbers
    positions: Positions | None = None
    times: Times | None = None
    inexact: int = 0


class Statistics(msgspec.Struct, frozen=True):
    """What is known of a chunk without unpacking it; of its finite values, None without any."""

    n: int
    min: float | None
    max: float | None
    sum: float | None
    first: float | None
    last: float | None
    nans: int
    infinities: int
    negative_infinities: int


def columns(rows: Sequence[StoredStep]) -> tuple[Axis, list[Column]]:
    """The rows of a range, steps ascending, as its axis and one column a series, by key.

    What is not a number stays out. 0.3 us a point.
    """
    axis = Axis(
        np.fromiter((row.step for row in rows), dtype=np.int64, count=len(rows)),
        np.fromiter((row.at_ms for row in rows), dtype=np.int64, count=len(rows)),
    )
    cells: dict[str, tuple[list[int], list[Any]]] = {}
    own_times: dict[int, dict[str, int]] = {}
    for place, row in enumerate(rows):
        for key, value in _DOCUMENT.decode(row.document).items():
            places, values = cells.get(key) or cells.setdefault(key, ([], []))
            places.append(place)
            values.append(value)
        if row.times_ms is not None:
            own_times[place] = _TIMES.decode(row.times_ms)
    found = (
        _column(key, places, values, axis, own_times)
        for key, (places, values) in sorted(cells.items())
        if key not in naming.METADATA_FIELDS
    )
    return axis, [column for column in found if column is not None]


def _column(
    key: str,
    places: list[int],
    values: list[Any],
    axis: Axis,
    own_times: Mapping[int, Mapping[str, int]],
) -> Column | None:
    kinds = set(map(type, values))
    if not kinds <= {int, float}:
        numeric = [i for i, value in enumerate(values) if _is_number(value)]
        places, values = [places[i] for i in numeric], [values[i] for i in numeric]
    if not values:
        return None
    inexact = 0
    if kinds != {float}:
        inexact = sum(isinstance(value, int) and not _is_held(value) for value in values)
    at = np.array(places, dtype=np.uint32)
    return Column(
        key,
        np.array([float(value) for value in values] if kinds != {float} else values, np.float64),
        None if len(at) == len(axis.steps) else at,
        _own_times(key, at, axis, own_times),
        inexact,
    )


def _is_number(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        return value in naming.NUMBERS_AS_TEXT
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_held(value: int) -> bool:
    """Whether a float64 tells all digits of an integer, or it came from one, as 1e300 did."""
    nearest = float(value)
    return int(nearest) == value or Decimal(repr(nearest)) == value


def _own_times(
    key: str, at: Positions, axis: Axis, own_times: Mapping[int, Mapping[str, int]]
) -> Times | None:
    """The times of a series' points, or None when they are their steps'."""
    shared = axis.times[at]
    if not own_times:
        return None
    times = shared.copy()
    for i, place in enumerate(at.tolist()):
        if place in own_times and key in own_times[place]:
            times[i] = own_times[place][key]
    return None if np.array_equal(times, shared) else times


def statistics(numbers: Numbers) -> Statistics:
    """What a chunk's row tells of its n >= 1 numbers. A sum past float64 is infinite."""
    finite = numbers[np.isfinite(numbers)]
    some = len(finite) > 0
    with np.errstate(over="ignore"):
        total = float(finite.sum())
    return Statistics(
        n=len(numbers),
        min=float(finite.min()) if some else None,
        max=float(finite.max()) if some else None,
        sum=total if some else None,
        first=float(finite[0]) if some else None,
        last=float(finite[-1]) if some else None,
        nans=int(np.isnan(numbers).sum()),
        infinities=int(np.isposinf(numbers).sum()),
        negative_infinities=int(np.isneginf(numbers).sum()),
    )


def pack(array: NDArray[Any]) -> bytes:
    """An array as bytes; its type is in them. 0.1 us a float64."""
    packed: bytes = standalone.simple_compress(np.ascontiguousarray(array), _CONFIG)
    return packed


def unpack(packed: bytes) -> NDArray[Any]:
    """The array that was packed, bit for bit; it held at least one number. 3 ns a float64."""
    array: NDArray[Any] = standalone.simple_decompress(packed)
    return array


def joined(parts: Iterable[NDArray[Any]]) -> NDArray[Any]:
    """Arrays one after another; a single one as it is."""
    listed = list(parts)
    return listed[0] if len(listed) == 1 else np.concatenate(listed)
