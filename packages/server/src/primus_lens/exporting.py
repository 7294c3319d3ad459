"""A file that a server streams, written as it comes: whole or not at all. Comes before cli_read.

Nothing is kept but the part that has just come, so a workload of any length fits in memory.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from primus_lens.client import Format, PointsFile


class RowCount:
    """How many rows the parts of a file hold: lines, and of CSV those outside quotes."""

    def __init__(self, form: Format) -> None:
        self._quotes = form == "csv"
        self._ends = 0
        self._quoted = False
        self._heads = 1 if form == "csv" else 0

    def add(self, part: bytes) -> int:
        """Count one more part. Returns the rows so far."""
        for place, piece in enumerate(part.split(b'"') if self._quotes else [part]):
            self._quoted ^= place > 0
            if not self._quoted:
                self._ends += piece.count(b"\n")
        return max(0, self._ends - self._heads)


def write(coming: PointsFile, to: BinaryIO, told: Callable[[int, int], object]) -> None:
    """Write a file as it comes. told: after each part, with the rows and the bytes so far.

    Parquet has no rows to count on the way: 0.
    """
    count, size, rows = RowCount(coming.form), 0, 0
    for part in coming.parts:
        to.write(part)
        size += len(part)
        rows = 0 if coming.form == "parquet" else count.add(part)
        told(rows, size)


@contextlib.contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name when it is whole; what fails before leaves nothing."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("xb") as file:
            yield file
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
