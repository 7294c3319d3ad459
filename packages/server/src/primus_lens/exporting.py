"""A workload's points as a file: CSV, lines of JSON, Parquet. Comes before cli_read.

Read metric by metric and in windows of steps, so that a run of any length fits in memory.
"""

import csv
import math
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Literal

import msgspec

from primus_lens.client import Client, Columns
from primus_lens.client.frames import columns, library

Format = Literal["csv", "ndjson", "parquet"]

WINDOW_POINTS = 50_000  # about 5 MB of JSON at a time

_FIRST_ROUNDED = 2**53  # from here on float64 has no room for every integer
_NAMES = tuple(columns("", ()))


def tables(client: Client, uid: str, *, window: int = WINDOW_POINTS) -> Iterator[Columns]:
    """All curves of a workload, piece by piece, steps ascending within a run and metric."""
    last_step = max((run["last_step"] or 0 for run in client.workload(uid)["runs"]), default=0)
    for metric, count in client.counts(uid).items():
        for between in _windows(count, last_step, window):
            yield _exact(client, uid, client.curve(uid, metric, between=between))


def _exact(client: Client, uid: str, table: Columns) -> Columns:
    """The table with the integers that float64 rounded, as they were logged."""
    rounded = [
        i for i, value in enumerate(table["value"]) if _FIRST_ROUNDED <= abs(value) < math.inf
    ]
    if rounded:
        times = [table["time"][i] for i in rounded]
        points = client.points(uid, table["metric"][0], start=min(times), end=max(times))
        exact = {
            (point.data_source, point.step, float(point.value)): point.value
            for point in points
            if isinstance(point.value, int) and abs(point.value) >= _FIRST_ROUNDED
        }
        for i in rounded:
            value = table["value"][i]
            table["value"][i] = exact.get((table["data_source"][i], table["step"][i], value), value)
    return table


def _windows(count: int, last_step: int, most: int) -> Iterator[tuple[float, float]]:
    """Ranges of steps that hold about `most` points each where steps are evenly filled."""
    pieces = max(1, math.ceil(count / most))
    width = last_step // pieces + 1
    for piece in range(pieces - 1):
        yield piece * width, (piece + 1) * width - 1
    yield (pieces - 1) * width, math.inf  # also what arrives while we read


def write(tables: Iterable[Columns], form: Format, file: BinaryIO) -> int:
    """Write tables to a file. Returns how many points. Raises ImportError without pyarrow."""
    writers: dict[Format, Callable[[Iterable[Columns], BinaryIO], int]] = {
        "csv": _csv,
        "ndjson": _ndjson,
        "parquet": _parquet,
    }
    return writers[form](tables, file)


class _Encoded:
    """A binary file as csv.writer wants it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return self._file.write(text.encode())


def _csv(tables: Iterable[Columns], file: BinaryIO) -> int:
    writer = csv.writer(_Encoded(file), lineterminator="\n")
    writer.writerow(_NAMES)
    count = 0
    for row in _rows(tables):
        writer.writerow(row)
        count += 1
    return count


def _ndjson(tables: Iterable[Columns], file: BinaryIO) -> int:
    count = 0
    for row in _rows(tables):
        file.write(msgspec.json.encode(dict(zip(_NAMES, row, strict=True))) + b"\n")
        count += 1
    return count


def _rows(tables: Iterable[Columns]) -> Iterator[list[object]]:
    for table in tables:
        for row in zip(*table.values(), strict=True):
            yield [_spoken(cell) for cell in row]


def _spoken(cell: object) -> object:
    """A cell; what JSON cannot say as a number, in the words of the API."""
    if not isinstance(cell, float) or math.isfinite(cell):
        return cell
    return "NaN" if math.isnan(cell) else "Infinity" if cell > 0 else "-Infinity"


def _parquet(tables: Iterable[Columns], file: BinaryIO) -> int:
    arrow = library("pyarrow")
    library("pyarrow.parquet")
    types = {"serial": arrow.int64(), "step": arrow.int64()}
    types |= dict.fromkeys(("time", "value"), arrow.float64())
    schema = arrow.schema([(n, types.get(n, arrow.string())) for n in _NAMES])
    count = 0
    with arrow.parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for table in tables:
            table["value"] = [float(value) for value in table["value"]]
            if table["step"]:
                writer.write_table(arrow.table(table, schema=schema))
                count += len(table["step"])
    return count
