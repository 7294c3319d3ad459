"""Every point of a workload as one file, as the server streams it."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

Format = Literal["csv", "ndjson", "parquet"]
Layout = Literal["long", "wide"]


class PointsFile(NamedTuple):
    """A file that is coming. total: of its points, None where the server does not say.

    parts: its bytes, some at a time.
    """

    form: Format
    total: int | None
    parts: Iterator[bytes]
