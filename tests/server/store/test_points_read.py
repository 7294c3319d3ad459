"""Rows as columns, asked for few metrics and for many."""

import asyncio
import itertools

import chunk_reading as reading

from primus_lens.store import points_read
from primus_lens.store.points_read import Part, Span


def test_many_metrics_are_told_as_few_are(database_dsn):
    """Asked for together, which takes another way, metrics are what they are one by one."""
    odd = [1, 0.5, "NaN", "Infinity", "-Infinity", "-0.0", "text", True, None]

    async def columns(connection, keys, **bounds):
        span, parts = Span("w", **bounds), [Part("wandb", 1, 0, 20), Part("wandb", 1, 25, 29)]
        rows = await points_read.series(connection, span, keys, parts)
        return sorted(
            (row["key"], row["first_step"], *map(str, (row["steps"], row["times"], row["values"])))
            for row in rows
        )

    async def scenario():
        async with reading.opened(database_dsn) as database:
            names = [f"m{n}" for n in range(20)]
            rows = [
                (
                    step,
                    1000.25 + step,
                    {name: odd[(step + n) % 9] for n, name in enumerate(names) if step % 7 != n},
                    {"m3": 2000.125 + step} if step % 4 == 0 else {},
                )
                for step in range(30)
            ]
            await reading.store(database, reading.report("w", rows))
            async with database.connection() as connection:
                for bounds in ({}, {"start_ms": 1_010_000, "end_ms": 1_026_000}):
                    together = await columns(connection, names, **bounds)
                    one_by_one = [await columns(connection, [name], **bounds) for name in names]
                    assert together == sorted(itertools.chain(*one_by_one))
                    assert len(together) > 20

    asyncio.run(scenario())


def test_curves_are_in_order_of_steps_however_they_are_read(database_dsn):
    """Read along the table instead of the key, a series still has its steps ascending."""

    async def scenario():
        async with reading.opened(database_dsn) as database:
            for step in (2, 0, 1):
                row = (step, 1000.0 + step, {"loss": step / 4}, {})
                await reading.store(database, reading.report("w", [row]))
            async with database.connection() as connection, connection.transaction():
                await connection.execute("SET LOCAL enable_indexscan = off")
                parts = [Part("wandb", 1, 0, 9)]
                for others in ([], [f"m{n}" for n in range(20)]):
                    names = ["loss", *others]
                    [row] = await points_read.series(connection, Span("w"), names, parts)
                    told = (row["steps"], row["times"], row["values"])
                    steps = [0, 1, 2]
                    assert told == (steps, [1_000_000, 1_001_000, 1_002_000], [0.0, 0.25, 0.5])

    asyncio.run(scenario())
