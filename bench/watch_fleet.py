"""The cost of watching a fleet: CPU of the watch and of PostgreSQL for it, as a part of one core.

    python bench/watch_fleet.py [runs]

1,000 running runs that log a row of ten metrics a second, two of them losses. Every five seconds of
their clock their rows are stored, and then looked at; only the looks are measured.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from primus_lens.model.points import PlacedRow, Row, RunId, Sender, WorkloadUid
from primus_lens.settings import WatchSettings
from primus_lens.store import points_write, runs
from primus_lens.store.database import Database
from primus_lens.store.embedded import EmbeddedPostgres
from primus_lens.watch.sweep import Sweep

EVERY_S = 5
LOOKS = 12
NAMES = ("train/loss", "eval/loss", *(f"train/metric_{i}" for i in range(8)))


def rows_of(workloads, random, first, at):
    """The next rows of every run."""
    values = 2 + 0.05 * random.normal(size=(len(workloads), EVERY_S, len(NAMES)))
    return [
        PlacedRow(
            WorkloadUid(uid),
            1,
            "",
            Row(RunId("r"), "wandb", first + i, at + i, dict(zip(NAMES, row, strict=True)), {}),
            at + i,
        )
        for uid, of_run in zip(workloads, values.tolist(), strict=True)
        for i, row in enumerate(of_run)
    ]


async def measured(database, many):
    """CPU seconds of the watch and of PostgreSQL, and wall seconds, for each look."""
    random, now = np.random.default_rng(1), time.time()
    workloads = [f"w{i:05}" for i in range(many)]
    senders = {(WorkloadUid(uid), RunId("r")): Sender(uid) for uid in workloads}
    async with database.connection() as connection, connection.transaction():
        await runs.serials(connection, senders, now=now)
        for uid in workloads:
            facts = {"state": "running"}
            await runs.note_facts(
                connection, workload_uid=uid, serial=1, facts=facts, definitions=()
            )
    costs = []
    async with database.connection() as looking:
        backend = psutil.Process(looking.get_server_pid())
        sweep = Sweep(looking, WatchSettings(), since=now)
        for look in range(LOOKS):
            rows = rows_of(workloads, random, look * EVERY_S, now)
            now += EVERY_S
            for start in range(0, len(rows), 2_000):
                async with database.connection() as connection, connection.transaction():
                    await points_write.merge_steps(connection, rows[start : start + 2_000])
                    await points_write.note_latest(
                        connection, rows[start : start + 2_000], now=now - 0.1
                    )
            before = time.process_time(), sum(backend.cpu_times()[:2]), time.perf_counter()
            swept = await sweep.look(now=now)
            after = time.process_time(), sum(backend.cpu_times()[:2]), time.perf_counter()
            costs.append([b - a for a, b in zip(before, after, strict=True)])
            if look and not swept.rows >= many * EVERY_S * 0.9:
                raise SystemExit(f"only {swept.rows} rows were judged")
    return np.array(costs)


async def measure(place, many):
    """Measure on a PostgreSQL of its own, and print."""
    embedded = EmbeddedPostgres(place / "postgres", settings={"fsync": "off"})
    database = Database(await embedded.start(), pool_size=2)
    await database.open()
    try:
        costs = await measured(database, many)
    finally:
        await database.close()
        await embedded.stop()
    ours, postgres, wall = np.median(costs[2:], axis=0)
    part = 100 / EVERY_S
    print(
        f"{many} runs, a row of {len(NAMES)} metrics a second each: {ours * part:.2f} % of a core "
        f"in the watch, {postgres * part:.2f} % in PostgreSQL; a look takes {wall:.2f} s"
    )


def main():
    """Measure a fleet of 1,000 runs, or of so many."""
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    with tempfile.TemporaryDirectory(prefix="lens-bench-", ignore_cleanup_errors=True) as place:
        Path(place).chmod(0o755)
        asyncio.run(measure(Path(place), many))


if __name__ == "__main__":
    main()
