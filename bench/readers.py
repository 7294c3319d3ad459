"""What readers cost: the fleet's list at two sizes, and how soon a live reader is told.

On an embedded PostgreSQL of its own, with a server as it runs for users.

    python bench/readers.py [--fleet 1000 10000] [--tails 200]
"""

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from serving import NO_SELF_METRICS, Server

from primus_lens.model.points import PlacedRow, Row, RunId, Sender, WorkloadUid
from primus_lens.query import fleet
from primus_lens.store import points_write, runs
from primus_lens.store.database import Database
from primus_lens.store.embedded_directory import dsn, socket_of_running

METRICS = [*(f"train/metric_{n}" for n in range(9)), "loss"]
ROWS_EACH = 32  # a full ring
TOLD = 60  # reports whose way to a reader is timed
LINE = "{:<60} {:>10} {:>10}  {}"


async def grow(database: Database, first: int, last: int) -> None:
    """Workloads of 32 steps each, running, with a target."""
    uids = [WorkloadUid(f"bench-{n}") for n in range(first, last)]
    async with database.connection() as connection, connection.transaction():
        await runs.serials(
            connection, {(uid, RunId("r")): Sender(uid) for uid in uids}, now=time.time()
        )
        at = time.time() - ROWS_EACH
        rows = [
            PlacedRow(uid, 1, "", Row(RunId("r"), "wandb", step, at + step, row, {}), at + step)
            for uid in uids
            for step in range(ROWS_EACH)
            for row in [dict.fromkeys(METRICS, 1.0 / (step + 1))]
        ]
        await points_write.merge_steps(connection, rows)
        await points_write.note_latest(connection, rows, now=time.time())
        for uid in uids:
            facts = {"state": "running", "name": f"run of {uid}", "project": "bench"}
            await runs.note_facts(
                connection,
                workload_uid=uid,
                serial=1,
                facts=facts,
                definitions=[],
                target_step=1_000,
            )


async def listed(database: Database, url: str, size: int) -> None:
    """The first page of a fleet, at the storage layer and over HTTP."""
    taken, over_http = [], []
    asked = fleet.Asked(sort="trouble", limit=1_000)
    for _ in range(11):
        begin = time.perf_counter()
        await fleet.workloads(database, asked, now=time.time())
        taken.append((time.perf_counter() - begin) * 1e3)
    async with httpx.AsyncClient(headers={"Accept-Encoding": "identity"}) as client:
        for _ in range(7):
            begin = time.perf_counter()
            answer = await client.get(f"{url}/api/v1/workloads?sort=trouble&limit=1000")
            over_http.append((time.perf_counter() - begin) * 1e3)
    target = "<= 20" if size <= 1_000 else ""
    good = "" if size > 1_000 or statistics.median(taken) <= 20 else "MISSED"
    print(LINE.format(f"fleet of {size:,}, ms", f"{statistics.median(taken):.1f}", target, good))
    words = f"  the same over HTTP, {len(answer.content) // 1024} KiB, ms"
    print(LINE.format(words, f"{statistics.median(over_http):.1f}", "", ""))


async def told(url: str, tails: int) -> None:
    """From the moment a report is sent to the moment its reader has it; idle readers' CPU."""
    async with (
        httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=None)) as client,
        contextlib.AsyncExitStack() as open_tails,
    ):
        for n in range(tails):
            path = f"{url}/api/v1/workloads/bench-{n}/live"
            await open_tails.enter_async_context(client.stream("GET", path))
        await idle(url, tails)
        path = f"{url}/api/v1/workloads/live-one/live"
        answer = await open_tails.enter_async_context(client.stream("GET", path))
        lines = answer.aiter_lines()
        taken = []
        for step in range(TOLD):
            metrics = [{"name": name, "value": step / 7, "step": step} for name in METRICS]
            body = {"workload_uid": "live-one", "run_id": "r", "metrics": metrics}
            begin = time.perf_counter()
            sending = asyncio.create_task(client.post(f"{url}/api/v1/wandb/metrics", json=body))
            async for line in lines:
                if line == "event: points":
                    break
            taken.append((time.perf_counter() - begin) * 1e3)
            await sending
    taken.sort()
    p50, p95 = taken[len(taken) // 2], taken[int(len(taken) * 0.95)]
    good = "" if p95 <= 300 else "MISSED"
    print(LINE.format("report sent to event read, p50, ms", f"{p50:.1f}", "", ""))
    print(LINE.format("report sent to event read, p95, ms", f"{p95:.1f}", "<= 300", good))


async def idle(url: str, tails: int) -> None:
    """The server's CPU while nothing happens."""
    port = int(url.rsplit(":", 1)[1])
    [pid] = {each.pid for each in psutil.net_connections() if each.laddr and each.laddr.port == port
             and each.status == psutil.CONN_LISTEN}  # fmt: skip
    process = psutil.Process(pid)
    before = sum(process.cpu_times()[:2])
    await asyncio.sleep(10)
    share = (sum(process.cpu_times()[:2]) - before) / 10 * 100
    print(LINE.format(f"CPU of {tails} idle live readers, % of a core", f"{share:.1f}", "", ""))


async def measure(folder: Path, sizes: list[int], tails: int) -> None:
    """Everything."""
    config = folder / "config.yaml"
    config.write_text(NO_SELF_METRICS)
    server = Server(folder / "data", "--config", str(config)).start()
    database = Database(dsn(socket_of_running((folder / "data").resolve())), pool_size=2)
    try:
        await database.open(migrate=False)
        print(LINE.format("", "measured", "target", ""))
        grown = 0
        for size in sizes:
            for first in range(grown, size, 200):
                await grow(database, first, min(first + 200, size))
            grown = size
            await database.fetch("VACUUM ANALYZE")
            await listed(database, server.url, size)
        await told(server.url, tails)
    finally:
        await database.close()
        server.stop()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fleet", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--tails", type=int, default=200, help="idle live readers")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-readers-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)  # PostgreSQL runs under an account of its own
        uvloop.run(measure(Path(name), given.fleet, given.tails))


if __name__ == "__main__":
    main()
