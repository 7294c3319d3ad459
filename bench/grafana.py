"""What Grafana's panels cost: a long curve by the JSON protocols, and one by the SQL view.

On an embedded PostgreSQL of its own, each read with a tail that no chunk holds.

    python bench/grafana.py [--scale 1.0]
"""

import argparse
import sys
import tempfile
from pathlib import Path

import asyncpg
import msgspec
import store
import uvloop

from primus_lens.query import panels
from primus_lens.store import readers
from primus_lens.store.database import Database
from primus_lens.store.embedded import EmbeddedPostgres

METRIC = "train/metric_0"
PANEL_STEPS = 15_000
PANEL = """
    SELECT time, value FROM lens_points
    WHERE workload_uid = 'panel' AND metric = 'train/metric_0'
      AND time BETWEEN '2023-11-14T00:00:00Z' AND '2023-11-16T00:00:00Z'
    ORDER BY time
"""
GROUPED = """
    SELECT floor(extract(epoch FROM time) / 60) * 60 AS time, avg(value) AS value FROM lens_points
    WHERE workload_uid = 'panel' AND metric = 'train/metric_0'
      AND time BETWEEN '2023-11-14T00:00:00Z' AND '2023-11-16T00:00:00Z'
    GROUP BY 1 ORDER BY 1
"""


async def json_panel(database: Database, table: store.Table, *, scale: float) -> None:
    """A million points in range, a thousand buckets: from the question to the bytes."""
    points = round(1_000_000 * scale)
    await store.stored(database, store.run_of("long", points, 1), group_steps=10_000)
    await database.fetch("VACUUM ANALYZE")
    span = panels.Range(0, 4_000_000_000_000, 1_000)
    asked = [panels.Target(METRIC, "series", workloads=("long",))]

    async def ask() -> bytes:
        return msgspec.json.encode(await panels.answer(database, asked, span))

    [found] = msgspec.json.decode(await ask())
    assert found["meta"]["total"] == points
    assert len(found["datapoints"]) <= 4_000
    table.line("1M points in range to 1,000 buckets as JSON, ms", await store.median_ms(ask), 60)


async def sql_panel(dsn: str, database: Database, table: store.Table) -> None:
    """15,000 points of one of 50 metrics, read as the role that Grafana is given."""
    rows = store.run_of("panel", PANEL_STEPS, store.METRICS)
    await store.stored(database, rows, group_steps=1_000)
    await database.fetch("VACUUM ANALYZE")
    async with database.connection() as connection:
        await readers.allow(connection, "grafana", "bench")
    reader = await asyncpg.connect(dsn, user="grafana", password="bench")  # noqa: S106 - its own

    async def raw() -> object:
        found = await reader.fetch(PANEL)
        assert len(found) == PANEL_STEPS
        return found

    table.line("15,000 points of 50 metrics by the view, ms", await store.median_ms(raw), 100)
    grouped = await store.median_ms(lambda: reader.fetch(GROUPED))
    table.line("the same by the minute, ms", grouped, 100)
    names = "SELECT DISTINCT metric FROM lens_metrics WHERE workload_uid = 'panel'"
    table.line(
        "the metrics of a workload, ms", await store.median_ms(lambda: reader.fetch(names)), 20
    )
    await reader.close()


async def measure(folder: Path, *, scale: float) -> int:
    """Everything; returns how many targets were missed."""
    postgres = EmbeddedPostgres(folder / "postgres")
    dsn = await postgres.start()
    database = Database(dsn, pool_size=2)
    try:
        await database.open()
        table = store.Table()
        await sql_panel(dsn, database, table)
        await json_panel(database, table, scale=scale)
    finally:
        await database.close()
        await postgres.stop()
    return table.missed


def main() -> int:
    """Measure and print; status 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="of the long curve")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-grafana-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)  # PostgreSQL runs under an account of its own
        return int(uvloop.run(measure(Path(name), scale=given.scale)) > 0)


if __name__ == "__main__":
    sys.exit(main())
