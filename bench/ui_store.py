"""The long runs that ui.py opens: their curves, and how they come into the store."""

import math
import time
from pathlib import Path

from primus_lens.model.points import PlacedRow, Row, RunId, Sender, WorkloadUid
from primus_lens.store import points_write, runs
from primus_lens.store.compaction import Compaction, RunSource
from primus_lens.store.database import Database
from primus_lens.store.embedded import EmbeddedPostgres

METRICS = 10
BODY_POINTS = 10_000  # as many as one report may hold


def value(metric: int, step: int, steps: int) -> float:
    """A curve as jobs log them: falling, wavy, with noise that repeats nowhere near."""
    noise = math.sin(step * 12.9898 + metric * 78.233) * 43758.5453
    return 3 * math.exp(-3 * step / steps) + 0.2 * math.sin(metric + step / 900) + (noise % 1) / 10


async def fill_long(data_directory: Path, workload: str, steps: int) -> None:
    """Lay a long run straight into the store and pack what has settled: reports take minutes."""
    postgres = EmbeddedPostgres(data_directory)
    database = Database(await postgres.start(), pool_size=2)
    uid, run = WorkloadUid(workload), RunId("r1")
    names = [f"train/metric_{n}" for n in range(METRICS)]
    try:
        await database.open()
        async with database.connection() as connection:
            await runs.serials(connection, {(uid, run): Sender(uid)}, now=time.time())
            for first in range(0, steps, BODY_POINTS):
                rows = [
                    PlacedRow(
                        uid, 1, "", Row(run, "wandb", s, 1.7e9 + s / 4, values, {}), 1.7e9 + s / 4
                    )
                    for s in range(first, min(steps, first + BODY_POINTS))
                    for values in [{name: value(n, s, steps) for n, name in enumerate(names)}]
                ]
                async with connection.transaction():
                    await points_write.merge_steps(connection, rows)
                    await points_write.note_latest(connection, rows, now=time.time())
        await Compaction(database).compact(RunSource(uid, "wandb", 1), now=time.time())
        await database.fetch("VACUUM ANALYZE")
    finally:
        await database.close()
        await postgres.stop()
