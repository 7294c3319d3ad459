"""How well a workload's points come: what was heard when, what is lost, how its clock stands."""

from typing import Any

from primus_lens.model import errors
from primus_lens.store import ingest_health as stored
from primus_lens.store.database import Database


async def health(database: Database, workload_uid: str) -> dict[str, Any]:
    """The health of what comes of a workload; times in Unix milliseconds. Raises NotKnown.

    clock_skew_s: how far the server's clock was ahead of the job's when the newest point came; the
    way of the point is in it.
    """
    async with database.connection() as connection:
        heard = await stored.heard(connection, workload_uid)
        streams = await stored.streams(connection, workload_uid)
        gaps = await stored.gaps(connection, workload_uid)
        parked = await stored.parked(connection, workload_uid)
    if not heard and not gaps:
        raise errors.NotKnown(f"no workload {workload_uid} has reported anything yet")
    return {
        "workload_uid": workload_uid,
        "last_seen": round(heard[0][0] * 1000) if heard else None,
        "streams": [{**each, "updated_at": round(each["updated_at"] * 1000)} for each in streams],
        "gaps": [{**each, "at": round(each["at"] * 1000)} for each in gaps],
        "points_lost": sum(each["points"] for each in gaps),
        "clock_skew_s": round(heard[0][0] - heard[0][1], 3) if heard else None,
        "parked": parked,
    }
