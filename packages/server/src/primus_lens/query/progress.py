"""How far a workload has come: its steps over time, and the target where the job told one."""

from collections.abc import AsyncIterator, Iterator, Sequence

import msgspec

from primus_lens.query.curves import PointRow
from primus_lens.store import points_read
from primus_lens.store.database import Database
from primus_lens.store.dropped_read import Told
from primus_lens.store.points_read import Span


async def iteration_times(database: Database, span: Span) -> AsyncIterator[Sequence[PointRow]]:
    """A row per step, and one beside it with the target where there is one, in order of time."""
    async with database.connection() as connection:
        async for found in points_read.iterations(connection, span):
            yield [point for row in found for point in _points(row)]


def _points(row: Told) -> Iterator[PointRow]:
    step, at, source = row["iteration"], row["timestamp"], row["data_source"]
    yield PointRow("iteration", msgspec.Raw(str(step).encode()), at, step, source)
    if row["target_iteration"] is not None:
        target = msgspec.Raw(row["target_iteration"].encode())
        yield PointRow("target_iteration", target, at, step, source)
