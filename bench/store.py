"""What storing and reading cost at the storage layer, on an embedded PostgreSQL of its own.

Ingest is measured against an unlogged raw COPY of the same points in the same run, in turn
A B A B; absolute figures of a shared machine mean little. Reads include a tail that no chunk holds.

    python bench/store.py [--only ingest reads growth] [--rounds 4] [--scale 1.0]
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import uvloop

from primus_lens.model.points import PlacedRow, Row, RunId, Sender, WorkloadUid
from primus_lens.query import curves, fleet
from primus_lens.store import points_write, runs
from primus_lens.store.compaction import Compaction, RunSource
from primus_lens.store.database import Database
from primus_lens.store.embedded import EmbeddedPostgres
from primus_lens.store.points_read import Span

METRICS = 50
GROUP_STEPS = 100  # 5,000 points a transaction
TAIL_STEPS = 64  # that came since: with the 16 unsettled ones, the middle of what there may be
REPEATS = 7
PARTS = ("ingest", "reads", "growth")
NAME = "train/metric_{}"
NAMES = {7: "loss_{:02}", 14: NAME, 20: "train/metric_name_{:02}"}  # by their length
CHUNKS = ("metrics_storage", "chunk_axis", "series")

LINE = "{:<52} {:>10} {:>10}  {}"


def values(random: np.random.Generator, steps: int, place: int) -> list[float]:
    """One metric of a kind that jobs log: float32 noise, a schedule, a counter, 3 decimals."""
    at = np.arange(steps)
    kinds = (
        lambda: np.float32(3 * np.exp(-at / 20_000) + random.normal(size=steps) * 0.02),
        lambda: np.float32(random.normal(size=steps)),
        lambda: 1e-3 * 0.5 * (1 + np.cos(np.pi * at / steps)),
        lambda: at * 512.0,
        lambda: np.round(random.normal(size=steps), 3),
    )
    return kinds[place % len(kinds)]().astype(np.float64).tolist()


def run_of(workload: str, steps: int, metrics: int, name: str = NAME) -> list[PlacedRow]:
    """A run of so many steps, 4 a second."""
    random = np.random.default_rng(steps)
    names = [name.format(n) for n in range(metrics)]
    columns = zip(*(values(random, steps, n) for n in range(metrics)), strict=True)
    return [
        PlacedRow(
            WorkloadUid(workload),
            1,
            "pod",
            Row(RunId("r"), "wandb", step, 1.7e9 + step / 4, dict(zip(names, at, strict=True)), {}),
            1.7e9 + step / 4,
        )
        for step, at in enumerate(columns)
    ]


async def raw_copy(database: Database, rows: list[PlacedRow]) -> float:
    """Points a second of the fastest that PostgreSQL can do with (series, step, value)."""
    groups = [
        [
            (series, placed.row.step, value)
            for placed in rows[i : i + GROUP_STEPS]
            for series, value in enumerate(placed.row.metrics.values())
        ]
        for i in range(0, len(rows), GROUP_STEPS)
    ]
    async with database.connection() as connection:
        await connection.execute("DROP TABLE IF EXISTS raw")
        await connection.execute("CREATE UNLOGGED TABLE raw (series INT, step INT8, value FLOAT8)")
        begin = time.perf_counter()
        for group in groups:
            await connection.copy_records_to_table("raw", records=group)
        return sum(map(len, groups)) / (time.perf_counter() - begin)


async def merged(database: Database, rows: list[PlacedRow], *, group_steps: int) -> float:
    """Points a second of the store: steps merged, latest values moved, late steps looked for."""
    workload = rows[0].workload_uid
    async with database.connection() as connection:
        await runs.serials(connection, {(workload, RunId("r")): Sender(workload)}, now=1.0)
        begin = time.perf_counter()
        for i in range(0, len(rows), group_steps):
            group = rows[i : i + group_steps]
            async with connection.transaction():
                await points_write.merge_steps(connection, group)
                await points_write.note_latest(connection, group, now=time.time())
        return sum(len(each.row.metrics) for each in rows) / (time.perf_counter() - begin)


async def size_bytes(database: Database, *tables: str) -> int:
    """What tables take on disk, with their indexes."""
    [(size,)] = await database.fetch(
        "SELECT sum(pg_total_relation_size(name::regclass))::int8 FROM unnest($1::text[]) AS name",
        list(tables),
    )
    return int(size)


async def median_ms(ask: Callable[[], Awaitable[object]]) -> float:
    """The middle of some answers' times, after one to warm up."""
    await ask()
    taken = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        await ask()
        taken.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(taken)


class Table:
    """Figures against their targets."""

    def __init__(self) -> None:
        print(LINE.format("", "measured", "target", ""))
        self.missed = 0

    def line(
        self, what: str, figure: float, target: float | None, *, at_least: bool = False
    ) -> None:
        """One figure; it is missed when it is beyond its target. Without one it is told."""
        if target is None:
            print(LINE.format(what, f"{figure:.2f}", "", ""))
            return
        good = figure >= target if at_least else figure <= target
        self.missed += not good
        sign = ">=" if at_least else "<="
        print(LINE.format(what, f"{figure:.2f}", f"{sign} {target:g}", "" if good else "MISSED"))


async def ingest(database: Database, table: Table, *, rounds: int, steps: int) -> None:
    """The store's ingest against raw COPY, and what a stored point takes."""
    pairs = []
    before = await size_bytes(database, "training_performance")
    for n in range(rounds):
        rows = run_of(f"ingest-{n}", steps, METRICS)
        raw = await raw_copy(database, rows)
        pairs.append((raw, await merged(database, rows, group_steps=GROUP_STEPS)))
        print(f"  round {n}: raw COPY {raw / 1e3:.0f} k/s, store {pairs[-1][1] / 1e3:.0f} k/s")
    ratio = statistics.median(store / raw for raw, store in pairs)
    table.line("ingest, store to raw COPY, 5,000 points at 50 metrics", ratio, 0.5, at_least=True)
    grown = await size_bytes(database, "training_performance") - before
    table.line("bytes a point, rows at 50 metrics", grown / (rounds * steps * METRICS), 40)
    for length, name in NAMES.items():
        before = await size_bytes(database, "training_performance")
        rows = run_of(f"names-{length}", steps, METRICS, name)
        await merged(database, rows, group_steps=GROUP_STEPS)
        grown = await size_bytes(database, "training_performance") - before
        table.line(f"  with names of {length} characters", grown / (steps * METRICS), None)


async def stored(database: Database, rows: list[PlacedRow], *, group_steps: int) -> None:
    """Store a run, pack what has settled, say what that took, and let some steps more come."""
    workload, packed = rows[0].workload_uid, rows[:-TAIL_STEPS]
    await merged(database, packed, group_steps=group_steps)
    begin = time.perf_counter()
    ranges = await Compaction(database).compact(RunSource(workload, "wandb", 1), now=time.time())
    taken = (time.perf_counter() - begin) / sum(len(each.row.metrics) for each in packed)
    print(f"  {workload}: {ranges} ranges, {taken * 1e6:.2f} us a point")
    await merged(database, rows[-TAIL_STEPS:], group_steps=group_steps)


async def reads(database: Database, table: Table, *, scale: float) -> None:
    """Charts and counts, each with a tail in rows."""
    long, wide = round(1_000_000 * scale), round(100_000 * scale)
    before = await size_bytes(database, *CHUNKS)
    await stored(database, run_of("wide", wide, METRICS), group_steps=1_000)
    grown = await size_bytes(database, *CHUNKS) - before
    table.line("bytes a point, chunks at 50 metrics", grown / (wide * METRICS), 3)
    await stored(database, run_of("long", long, 1), group_steps=10_000)
    await database.fetch("VACUUM ANALYZE")
    names = [f"train/metric_{n}" for n in range(METRICS)]

    for what, ask, target in (
        ("1M points to 1,000, ms", lambda: thinned(database, "long", names[:1], 1_000), 40),
        ("50 x 100k points to 500 each, ms", lambda: thinned(database, "wide", names, 500), 60),
        ("counts of 50 x 100k points, ms", lambda: curves.available(database, "wide", ""), 5),
        ("counts of 1M points, ms", lambda: curves.available(database, "long", ""), 5),
        ("steps by source, ms", lambda: curves.sources(database, "wide"), 5),
    ):
        table.line(what, await median_ms(ask), target)
    with beside_ingest(database.dsn):
        for what, workload, asked, most in (
            ("1M points to 1,000 beside ingest, ms", "long", names[:1], 1_000),
            ("50 x 100k points to 500 beside ingest, ms", "wide", names, 500),
        ):
            taken = await median_ms(lambda w=workload, a=asked, m=most: thinned(database, w, a, m))
            table.line(what, taken, None)


def ingest_for_ever(dsn: str, begun: Event) -> None:
    """Another run reports without a pause, in a process of its own."""

    async def go_on() -> None:
        database = Database(dsn, pool_size=1)
        await database.open(migrate=False)
        rows = run_of("beside", 20_000, METRICS)
        while True:
            await merged(database, rows[:GROUP_STEPS], group_steps=GROUP_STEPS)
            begun.set()
            await merged(database, rows, group_steps=GROUP_STEPS)

    asyncio.run(go_on())


@contextlib.contextmanager
def beside_ingest(dsn: str) -> Iterator[None]:
    """While somebody else reports at full speed."""
    context = multiprocessing.get_context("spawn")
    begun = context.Event()
    writer = context.Process(target=ingest_for_ever, args=(dsn, begun))
    writer.start()
    try:
        begun.wait()
        yield
    finally:
        writer.kill()
        writer.join()


async def fleet_of(database: Database, first: int, last: int) -> None:
    """So many workloads, each with a run of a few steps at 50 metrics."""
    for n in range(first, last):
        await merged(database, run_of(f"fleet-{n}", 4, METRICS), group_steps=4)
    await database.fetch("VACUUM ANALYZE run_last, training_run")


async def growth(database: Database, table: Table, *, scale: float) -> None:
    """What a question costs as runs, metrics and steps grow; three sizes each."""

    async def listed() -> None:
        await fleet.workloads(database, fleet.Asked(), now=time.time())

    for before, workloads in ((0, 10), (10, 100), (100, 1_000)):
        await fleet_of(database, before, workloads)
        target = 20 if workloads == 1_000 else None
        table.line(f"fleet of {workloads:,}, ms", await median_ms(listed), target)
    for metrics in (5, 50, 500):
        uid = f"metrics-{metrics}"
        await stored(database, run_of(uid, 2_000, metrics), group_steps=200)
        names = [f"train/metric_{n}" for n in range(metrics)]
        taken = await median_ms(lambda uid=uid, names=names: thinned(database, uid, names, 500))
        table.line(f"{metrics} metrics x 2,000 points to 500 each, ms", taken, None)
    for steps in (10_000, 100_000):
        uid = f"steps-{steps}"
        await stored(database, run_of(uid, round(steps * scale), 1), group_steps=10_000)
        taken = await median_ms(lambda uid=uid: thinned(database, uid, ["train/metric_0"], 1_000))
        table.line(f"{steps:,} points to 1,000, ms", taken, None)


async def thinned(database: Database, workload: str, names: list[str], most: int) -> object:
    """A chart's answer."""
    return await curves.columns(database, Span(workload), names, axis="step", most=most)


async def measure(folder: Path, parts: Collection[str], *, rounds: int, scale: float) -> int:
    """These parts; returns how many targets were missed."""
    postgres = EmbeddedPostgres(folder / "postgres")
    database = Database(await postgres.start(), pool_size=2)
    try:
        await database.open()
        table = Table()
        if "ingest" in parts:
            await ingest(database, table, rounds=rounds, steps=round(10_000 * scale))
        if "reads" in parts:
            await reads(database, table, scale=scale)
        if "growth" in parts:
            await growth(database, table, scale=scale)
    finally:
        await database.close()
        await postgres.stop()
    return table.missed


def main() -> int:
    """Measure and print; status 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts")
    parser.add_argument("--rounds", type=int, default=4, help="pairs of ingest")
    parser.add_argument("--scale", type=float, default=1.0, help="of all amounts")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-store-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)  # PostgreSQL runs under an account of its own
        measuring = measure(Path(name), given.only, rounds=given.rounds, scale=given.scale)
        return int(uvloop.run(measuring) > 0)


if __name__ == "__main__":
    sys.exit(main())
