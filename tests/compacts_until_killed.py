"""Makes the chunks of some workloads anew, again and again: python FILE DSN WORKLOAD..."""

import asyncio
import itertools
import sys

import chunk_reading as reading

from primus_lens.store.compaction import Compaction


async def main(dsn, *workloads):
    """Never ends."""
    async with reading.opened(dsn) as database:
        print("at work", flush=True)
        for workload in itertools.cycle(workloads):
            compaction = Compaction(database, reading.TINY)
            await compaction.sweep(now=reading.LATER)
            await compaction.rebuild(workload, now=reading.LATER)


asyncio.run(main(*sys.argv[1:]))
