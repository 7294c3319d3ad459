"""Laws of store/points_write that no answer of the service shows on its own."""

import asyncio
import json

import chunk_reading as reading
import pytest


async def latest(database):
    """The newest values of the workload "w", and their step."""
    [row] = await database.fetch("SELECT last_step, last_values FROM run_last")
    return row["last_step"], json.loads(row["last_values"])


@pytest.mark.parametrize("turned", [False, True], ids=["in order", "turned round"])
def test_newest_number_of_every_metric_is_kept(database_dsn, turned):
    """Of rows stored together the newest number of each metric counts, in any order of arrival."""
    rows = [
        (1, 10.0, {"a": 1, "b": 1, "c": 1}, {}),
        (2, 20.0, {"a": 2, "b": "text"}, {}),
        (3, 30.0, {"a": 3}, {}),
    ]

    async def scenario():
        async with reading.opened(database_dsn) as database:
            told = rows[::-1] if turned else rows
            await reading.store(database, reading.report("w", told))
            return await latest(database)

    assert asyncio.run(scenario()) == (3, {"a": 3, "b": 1, "c": 1})


def test_last_to_come_is_the_newest_of_one_moment(database_dsn):
    """Of two values of one step and one time the later report's counts."""

    async def scenario():
        async with reading.opened(database_dsn) as database:
            reports = [reading.report("w", [(1, 10.0, {"a": value}, {})]) for value in (5, 6)]
            await reading.store(database, *reports)
            return await latest(database)

    assert asyncio.run(scenario()) == (1, {"a": 6})
