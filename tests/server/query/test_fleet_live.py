"""Followers of the fleet that come and go at the same instant."""

import asyncio

from serving import run

from primus_lens.query.fleet_live import FleetTail
from primus_lens.query.wakings import Wakings
from primus_lens.store.database import Database


def test_who_comes_as_the_last_goes_is_told_the_fleet(server, workload):
    """The end of the old look, which comes late, does not pass for the beginning of the new one."""
    server.post("/wandb/metrics", {"workload_uid": workload, "metrics": [METRIC]})

    async def told():
        database = Database(server.dsn, pool_size=2)  # one connection listens
        await database.open(migrate=False)
        wakings = Wakings(database)
        tail = FleetTail(database, wakings)
        last = tail.follow(after="")
        await anext(last)
        going = asyncio.create_task(last.aclose())
        await asyncio.sleep(0)
        comes = tail.follow(after="before")
        await anext(comes)
        event = await asyncio.wait_for(anext(comes), 30)
        await going
        await comes.aclose()
        await wakings.close()
        await database.close()
        return event.data

    assert workload.encode() in run(told())


METRIC = {"name": "loss", "value": 0.5, "step": 1}
