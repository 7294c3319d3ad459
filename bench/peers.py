"""The same data in Primus Lens and in its neighbours, side by side; a table on stdout.

    make bench-peers

Each tool writes, keeps and reads by its own storage, in a process of its own: what is compared is
the engine, not HTTP. Slow ones get fewer steps, as the table says.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import peer_tools
from store import merged

from primus_lens.model.points import PlacedRow, Row, RunId, WorkloadUid
from primus_lens.query import curves
from primus_lens.store.compaction import Compaction
from primus_lens.store.database import Database
from primus_lens.store.embedded import EmbeddedPostgres
from primus_lens.store.points_read import Span

STEPS = {"duckdb": 100_000, "tensorboard": 100_000, "mlflow": 20_000, "trackio": 20_000}
LINE = "{:<26} {:>9} {:>12} {:>13} {:>9} {:>7} {:>10}"


async def lens(steps: int, folder: Path) -> list[dict[str, float]]:
    """Primus Lens with rows and chunks, and with chunks alone."""
    data = peer_tools.columns(steps)
    rows = [
        PlacedRow(
            WorkloadUid("w"),
            1,
            "",
            Row(RunId("r"), "wandb", step, 1.7e9 + step, dict(zip(NAMES, values, strict=True)), {}),
            1.7e9 + step,
        )
        for step, values in enumerate(data.T.tolist())
    ]
    postgres = EmbeddedPostgres(folder / "postgres")
    database = Database(await postgres.start(), pool_size=2)
    await database.open()
    rate = await merged(database, rows, group_steps=peer_tools.GROUP)
    await Compaction(database).sweep(now=time.time() + 60)
    sizes = {}
    for kind, tables in (
        ("rows", ["training_performance"]),
        ("chunks", ["metrics_storage", "chunk_axis", "series"]),
    ):
        [(size,)] = await database.fetch(
            "SELECT sum(pg_total_relation_size(n::regclass))::int8 FROM unnest($1::text[]) AS n",
            tables,
        )
        sizes[kind] = size / data.size

    async def read() -> list[float]:
        [curve] = await curves.columns(
            database, Span("w"), ["m0"], axis="step", most=peer_tools.MOST
        )
        return [value for value in curve.value if isinstance(value, float)]

    await read()
    begin = time.perf_counter()
    values = await read()
    taken = (time.perf_counter() - begin) * 1e3
    await database.close()
    await postgres.stop()
    told = {
        "points_s": rate,
        "read_ms": taken,
        "shown": len(values),
        "spikes": peer_tools.surviving(values),
    }
    return [
        {**told, "bytes_a_point": sizes["rows"] + sizes["chunks"]},
        {**told, "bytes_a_point": sizes["chunks"]},
    ]


NAMES = [f"m{n}" for n in range(peer_tools.METRICS)]


def line(name: str, steps: int, told: dict[str, float]) -> None:
    """One tool's figures."""
    print(
        LINE.format(
            name,
            f"{steps:,}",
            f"{told['points_s'] / 1e3:,.0f} k",
            f"{told['bytes_a_point']:.1f}",
            f"{told['read_ms']:.1f}",
            f"{told['shown']:,}",
            f"{told['spikes']} of {peer_tools.SPIKES}",
        )
    )


def main(python: str) -> int:
    """Measure all. python: that of the environment with the neighbours. 1: some could not run."""
    print(f"{peer_tools.METRICS} metrics a step, {peer_tools.GROUP} steps a transaction")
    print(LINE.format("", "steps", "points/s", "bytes/point", "read ms", "shown", "spikes"))
    with tempfile.TemporaryDirectory(prefix="peers-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs under an account of its own
        whole, packed = asyncio.run(lens(100_000, Path(folder)))
    line("Primus Lens", 100_000, whole)
    line("Primus Lens, rows dropped", 100_000, packed)
    failed = 0
    for tool, steps in STEPS.items():
        with tempfile.TemporaryDirectory(prefix="peers-") as folder:
            words = [python, peer_tools.__file__, tool, str(steps), folder]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            failed = 1
            print(f"{tool}: could not be run: {done.stderr.strip().splitlines()[-1:]}")
        else:
            line(tool, steps, json.loads(done.stdout.splitlines()[-1]))
    return failed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
