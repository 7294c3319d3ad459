"""Makes the chunks of some workloads anew, again and again: python FILE DSN [--drop] WORKLOAD...

--drop: and drops the rows of what is packed, of one range after another.
"""

import asyncio
import itertools
import sys

import chunk_reading as reading

from primus_lens.store import retention
from primus_lens.store.compaction import Compaction


async def main(dsn, *words):
    """Never ends."""
    workloads = [word for word in words if word != "--drop"]
    async with reading.opened(dsn) as database:
        print("at work", flush=True)
        for workload in itertools.cycle(workloads):
            compaction = Compaction(database, reading.TINY)
            await compaction.sweep(now=reading.LATER)
            if "--drop" in words:
                await retention.drop_rows(database, before=reading.LATER + 1)
            await compaction.rebuild(workload, now=reading.LATER)


asyncio.run(main(*sys.argv[1:]))
