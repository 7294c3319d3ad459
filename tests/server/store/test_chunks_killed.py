"""Compaction in a process of its own, really killed."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import chunk_reading as reading
import pytest

from primus_lens.store.compaction import Compaction

COMPACTS_UNTIL_KILLED = Path(__file__).parents[2] / "compacts_until_killed.py"


@pytest.mark.timeout(120)
def test_compaction_killed_anywhere_changes_no_answer(database_dsn):
    """Killed 20 times at work, compaction leaves the same answers, and ends its work in the end."""
    chance = random.Random(3)
    workloads = ["w", "x"]

    def killed_after(delay_s):
        process = subprocess.Popen(
            [sys.executable, COMPACTS_UNTIL_KILLED, database_dsn, *workloads],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(COMPACTS_UNTIL_KILLED.parent)},
        )
        assert process.stdout.readline() == b"at work\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(delay_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()

    async def answers(database):
        spans = [reading.Span(workload) for workload in workloads]
        return [await reading.both_ways(database, span) for span in spans]

    async def scenario():
        async with reading.opened(database_dsn) as database:
            for workload in workloads:
                rows = [
                    (step, 1000.0 + step, {"a": chance.random(), "b": "NaN", "step": step}, {})
                    for step in range(600)
                ]
                await reading.store(database, reading.report(workload, rows))
            before = await answers(database)
            for _ in range(20):
                await asyncio.to_thread(killed_after, chance.uniform(0, 0.3))
                assert await answers(database) == before
            await Compaction(database, reading.TINY).sweep(now=reading.LATER)
            assert await answers(database) == before
            return await database.fetch("SELECT built = version AS built FROM chunk_axis")

    found = asyncio.run(scenario())
    assert found
    assert all(row["built"] for row in found)
