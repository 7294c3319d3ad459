"""Rows as columns, asked for few metrics and for many."""

import asyncio
import itertools

import chunk_reading as reading
import pytest

from primus_lens.query import curves
from primus_lens.store import chunk_read, points_read
from primus_lens.store.points_read import Part, Span

NAMES = [f"m{n}" for n in range(20)]
ODD = [1, 0.5, "NaN", "Infinity", "-Infinity", "-0.0", "text", True, None]
ROWS = [
    (
        step,
        1000.25 + step,
        {name: ODD[(step + n) % 9] for n, name in enumerate(NAMES) if step % 7 != n},
        {"m3": 2000.125 + step} if step % 4 == 0 else {},
    )
    for step in range(30)
]


def test_many_metrics_are_told_as_few_are(database_dsn):
    """Asked for together, which takes another way, metrics are what they are one by one."""

    async def columns(connection, keys, **bounds):
        span, parts = Span("w", **bounds), [Part("wandb", 1, 0, 20), Part("wandb", 1, 25, 29)]
        rows = await points_read.series(connection, span, keys, parts)
        return sorted(
            (row["key"], row["first_step"], *map(str, (row["steps"], row["times"], row["values"])))
            for row in rows
        )

    async def scenario():
        async with reading.opened(database_dsn) as database:
            await reading.store(database, reading.report("w", ROWS))
            async with database.connection() as connection:
                for bounds in ({}, {"start_ms": 1_010_000, "end_ms": 1_026_000}):
                    together = await columns(connection, NAMES, **bounds)
                    one_by_one = [await columns(connection, [name], **bounds) for name in NAMES]
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


async def told(database, names, page=None, **bounds):
    """The points of "w" in order of time."""
    rows = curves.rows(database, Span("w", **bounds), names, page)
    return [point async for some in rows for point in some]


def test_points_asked_for_by_name_are_those_of_all(database_dsn):
    """Few metrics, which are looked up, and many are told as among all; so within bounds of time.

    A point with a time of its own is found by it, though its step is out of bounds.
    """

    async def scenario():
        async with reading.opened(database_dsn) as database:
            await reading.store(database, reading.report("w", ROWS))
            for bounds in ({}, {"start_ms": 1_010_250, "end_ms": 2_012_125}, {"end_ms": 1_003_249}):
                every = await told(database, None, **bounds)
                assert every == [
                    point
                    for point in await told(database, None)
                    if bounds.get("start_ms", 0) <= point.timestamp <= bounds.get("end_ms", 9e9)
                ]
                for names in (["m3"], ["m7", "none", "m3", "m7"], NAMES):
                    of_names = [point for point in every if point.metric_name in names]
                    assert await told(database, names, **bounds) == of_names
                    assert of_names

    asyncio.run(scenario())


def test_page_goes_on_in_the_middle_of_a_step(database_dsn):
    """A page that ends among more points of one moment than are read at once is followed whole."""

    async def scenario():
        async with reading.opened(database_dsn) as database:
            row = (1, 1000.0, {f"m{n}": n for n in range(2_500)}, {})
            await reading.store(database, reading.report("w", [row]))
            every = await told(database, None)
            assert len(every) == 2_500
            for limit in (1_000, 1_200):
                found, page = [], curves.Page(limit)
                while page is not None:
                    found += await told(database, None, page)
                    page = curves.Page(limit, page.next) if page.next else None
                assert found == every

    asyncio.run(scenario())


@pytest.mark.parametrize("points_at_once", [1, 25, 60])
def test_what_is_not_packed_is_the_same_read_in_parts(database_dsn, monkeypatch, points_at_once):
    """A run too long to be read at once is told as it is whole; so are several."""
    monkeypatch.setattr(chunk_read, "_POINTS_AT_ONCE", points_at_once)

    def row(step):
        metrics = {"a": step, "step": step / 4}
        if step % 5:
            metrics["sparse"] = 1
        return step * 3, 1000.0 + step, metrics, {"a": 2000.5} if step % 4 == 1 else {}

    async def scenario():
        async with reading.opened(database_dsn) as database:
            for run, steps in (("one", 30), ("two", 3), ("three", 11)):
                rows = [row(step) for step in range(steps)]
                await reading.store(database, reading.report("w", rows, run_id=run))
            await reading.assert_agree(database, "w")

    asyncio.run(scenario())


def test_parts_are_cut_to_so_many_steps(database_dsn):
    """Lists hold at most so many stored steps, small parts together; what is empty is in none."""

    async def scenario():
        async with reading.opened(database_dsn) as database:
            for run, steps in (("one", 7), ("two", 1), ("three", 1)):
                rows = [(step * 10, 1.0 + step, {"a": 1}, {}) for step in range(steps)]
                await reading.store(database, reading.report("w", rows, run_id=run))
            parts = [Part("wandb", serial, 0, 2**63 - 1) for serial in (1, 2, 3, 4)]
            async with database.connection() as connection:
                return await points_read.split(connection, "w", parts, at_once=3)

    assert asyncio.run(scenario()) == [
        [Part("wandb", 1, 0, 20)],
        [Part("wandb", 1, 21, 50)],
        [Part("wandb", 1, 51, 60), Part("wandb", 2, 0, 0), Part("wandb", 3, 0, 0)],
    ]
