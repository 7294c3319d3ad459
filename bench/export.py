"""What reading a large workload whole costs: time, bytes, and the memory of who serves it.

A server as it runs for users, on an embedded PostgreSQL of its own; the points come by the store's
bulk path and are packed as compaction packs them. Memory is the server's peak (VmHWM) since it was
reset before each file, without PostgreSQL.

    python bench/export.py [--steps 300000] [--metrics 10]
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import uvloop
from store import run_of, stored

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from serving import NO_SELF_METRICS, Server

from primus_lens.store.database import Database
from primus_lens.store.embedded_directory import dsn, socket_of_running

UID = "large"
REPEATS = 11
LINE = "{:<44} {:>8} {:>10} {:>12} {:>12}"


async def seed(folder: Path, steps: int, metrics: int) -> None:
    """A run of so many points, all but a tail of it in chunks."""
    database = Database(dsn(socket_of_running(folder)), pool_size=2)
    try:
        await database.open(migrate=False)
        await stored(database, run_of(UID, steps, metrics), group_steps=1_000)
        await database.fetch("VACUUM ANALYZE")
    finally:
        await database.close()


class Memory:
    """The peak of a process, in MiB."""

    def __init__(self, pid: int) -> None:
        self._folder = Path("/proc") / str(pid)

    def begin_anew(self) -> None:
        """Forget the peak so far."""
        (self._folder / "clear_refs").write_text("5")

    def peak(self) -> float:
        """Since then."""
        lines = (self._folder / "status").read_text().splitlines()
        [line] = [each for each in lines if each.startswith("VmHWM")]
        return int(line.split()[1]) / 1024


def whole(client: httpx.Client, path: str) -> tuple[float, int]:
    """Seconds and bytes of an answer, of which nothing is kept."""
    begin, size = time.perf_counter(), 0
    with client.stream("GET", path) as answer:
        answer.raise_for_status()
        for part in answer.iter_raw():
            size += len(part)
    return time.perf_counter() - begin, size


def files(client: httpx.Client, memory: Memory, points: int) -> None:
    """Every form of a file, and the specification's JSON."""
    print(LINE.format(f"{points:,} points", "s", "MB", "peak before", "peak after"))
    for title, query in (
        ("csv, long", "format=csv"),
        ("ndjson, long", "format=ndjson"),
        ("parquet, long", "format=parquet"),
        ("csv, wide", "format=csv&layout=wide"),
        ("ndjson, wide", "format=ndjson&layout=wide"),
        ("parquet, wide", "format=parquet&layout=wide"),
        ("json of the specification", "format=json"),
    ):
        memory.begin_anew()
        before = memory.peak()
        taken, size = whole(client, f"/workloads/{UID}/metrics/data?{query}")
        peak = f"{memory.peak():.0f} MiB"
        print(LINE.format(title, f"{taken:.1f}", f"{size / 1e6:.1f}", f"{before:.0f} MiB", peak))


def questions(client: httpx.Client) -> None:
    """What a page asks first, over HTTP."""

    def asked(path: str) -> Callable[[], object]:
        return lambda: client.get(path).raise_for_status()

    for path in ("metrics/available", "metrics/sources"):
        ask, taken = asked(f"/workloads/{UID}/{path}"), []
        ask()
        for _ in range(REPEATS):
            begin = time.perf_counter()
            ask()
            taken.append((time.perf_counter() - begin) * 1e3)
        print(f"{path}, median of {REPEATS}: {statistics.median(taken):.1f} ms")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300_000)
    parser.add_argument("--metrics", type=int, default=10)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-export-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs under an account of its own
        (folder / "config.yaml").write_text(NO_SELF_METRICS)
        server = Server(folder / "data", "--config", str(folder / "config.yaml")).start()
        try:
            uvloop.run(seed((folder / "data").resolve(), given.steps, given.metrics))
            port = int(server.url.rsplit(":", 1)[1])
            [pid] = {
                each.pid
                for each in psutil.net_connections()
                if each.laddr and each.laddr.port == port and each.status == psutil.CONN_LISTEN
            }
            headers = {"Accept-Encoding": "identity"}
            url = f"{server.url}/api/v1"
            with httpx.Client(base_url=url, headers=headers, timeout=600) as client:
                questions(client)
                files(client, Memory(int(pid or 0)), given.steps * given.metrics)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
