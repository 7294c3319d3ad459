"""Records gathered into requests. Pure.

The same file gives the same batches, so an import that is repeated names the same ranges of
records, and the server knows them.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from primus_lens.importing.records import Point, Record

BATCH_POINTS = 5_000  # about half a MiB of JSON, half of what protocol/v1 allows
_BATCH_RECORDS = 50_000  # bounds memory where most records hold no point


class Batch(msgspec.Struct, frozen=True):
    """Consecutive records that are posted together."""

    records: Sequence[Record]

    @property
    def first(self) -> int:
        """The number of its first record."""
        return self.records[0].first

    @property
    def last(self) -> int:
        """The number of its last record."""
        return self.records[-1].last

    @property
    def points(self) -> list[Point]:
        """Its points, in order."""
        return [point for record in self.records for point in record.points]

    def halves(self) -> Iterator["Batch"]:
        """Two batches of it, or nothing when it is one record."""
        middle = len(self.records) // 2
        if middle:
            yield Batch(self.records[:middle])
            yield Batch(self.records[middle:])

    def without(self, accepted: Sequence[tuple[int, int]]) -> Iterator["Batch"]:
        """What is not in the ranges: the server refuses a request that it knows in part."""
        unknown = (
            record
            for record in self.records
            if not any(first <= record.first and record.last <= last for first, last in accepted)
        )
        return batches(unknown)


def batches(records: Iterable[Record], most: int = BATCH_POINTS) -> Iterator[Batch]:
    """The records in order, up to `most` points a batch; a gap in the numbers ends a batch.

    A batch without a point is not told: there is nothing to post.
    """
    gathered: list[Record] = []
    points = 0
    for record in _of_bounded_size(records, most):
        follows = not gathered or record.first == gathered[-1].last + 1
        full = points + len(record.points) > most or len(gathered) == _BATCH_RECORDS
        if gathered and (full or not follows):
            if points:
                yield Batch(gathered)
            gathered, points = [], 0
        gathered.append(record)
        points += len(record.points)
    if points:
        yield Batch(gathered)


def _of_bounded_size(records: Iterable[Record], most: int) -> Iterator[Record]:
    """A very wide row in pieces, each with numbers of its own: there is one for every point."""
    for record in records:
        first, points = record.first, record.points
        while len(points) > most:
            yield Record(first, first + most - 1, points[:most])
            first, points = first + most, points[most:]
        yield Record(first, record.last, points)
