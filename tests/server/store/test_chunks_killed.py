"""Compaction in a process of its own, really killed."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import chunk_reading as reading
import msgspec
import pytest

from primus_lens.query import curves
from primus_lens.store.compaction import Compaction

COMPACTS_UNTIL_KILLED = Path(__file__).parents[2] / "compacts_until_killed.py"


@pytest.mark.timeout(240)
def test_compaction_killed_anywhere_changes_no_answer(database_dsn):
    """Killed 20 times at work, compaction leaves the same answers, and ends its work in the end.

    From the tenth time on, rows of what is packed are dropped as well. Curves, thinned ones, too,
    counts and sources are compared.
    """
    chance = random.Random(3)
    workloads = ["w", "x"]

    def killed_after(delay_s, *options):
        process = subprocess.Popen(
            [sys.executable, COMPACTS_UNTIL_KILLED, database_dsn, *options, *workloads],
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
        found = []
        for span in map(reading.Span, workloads):
            async with database.connection() as connection:
                found.append(await reading.through_chunks(connection, span))
            thinned = await curves.columns(database, span, ["a", "b"], axis="step", most=40)
            found.append([msgspec.json.encode(curve) for curve in thinned])
        return found

    async def scenario():
        async with reading.opened(database_dsn) as database:
            for workload in workloads:
                rows = [
                    (step, 1000.0 + step, {"a": chance.random(), "b": "NaN", "step": step}, {})
                    for step in range(600)
                ]
                await reading.store(database, reading.report(workload, rows))
            before = await answers(database)
            for workload in workloads:
                await reading.assert_agree(database, workload)
            for n in range(20):
                options = ["--drop"] if n >= 10 else []
                await asyncio.to_thread(killed_after, chance.uniform(0, 0.3), *options)
                assert await answers(database) == before
            await Compaction(database, reading.TINY).sweep(now=reading.LATER)
            assert await answers(database) == before
            return await database.fetch("SELECT built = version AS built FROM chunk_axis")

    found = asyncio.run(scenario())
    assert found
    assert all(row["built"] for row in found)
