"""What a report costs over HTTP: the whole server beside the same one that stores nothing.

The stub is the same application in the same kind of process; only the intake's store is replaced by
a receipt. Both are asked in turn, A B A B, by 1, 20 and 200 connections, each with a run of its own
and 100 points a request. Absolute figures of a shared machine mean little; the ratio is the figure.
CPU is that of the server's own process for a request, and of PostgreSQL's.

    python bench/http_ingest.py [--rounds 3] [--requests 1000] [--steps 2] [--metrics 50]
    python bench/http_ingest.py --profile 20     where the server's own time goes (cProfile)
"""

import argparse
import asyncio
import contextlib
import cProfile
import io
import os
import pstats
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import uvloop
from fastapi import FastAPI

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from loading import load, request
from serving import NO_SELF_METRICS, Server

from primus_lens import cli, settings
from primus_lens.ingest.intake import Intake
from primus_lens.model.points import Receipt, Report
from primus_lens.routes import operations, wandb_v1
from primus_lens.routes.application import application
from primus_lens.selfmetrics import SelfMetrics

TARGET = 0.2
CONNECTIONS = (1, 20, 200)
LINE = "{:>11} {:>14} {:>14} {:>8} {:>12} {:>12} {:>14}"


class StoresNothing(Intake):
    """An intake that says it has stored what it got."""

    async def store(self, report: Report) -> Receipt:
        """A receipt for every report."""
        return Receipt(workloads=bool(report.rows))


@contextlib.asynccontextmanager
async def stub() -> AsyncIterator[FastAPI]:
    """The processor's application over an intake that stores nothing."""
    limits = settings.LimitSettings()
    endpoints = wandb_v1.WandbEndpoints(
        StoresNothing(None, pending_bytes=limits.pending_bytes),
        None,
        limits=limits,
        enabled=settings.WandbSettings(),
        counters=SelfMetrics(),
    )

    async def ready() -> bool:
        return True

    app = application(
        routers=[operations.router(ready)],
        routes=endpoints.routes(),
        book=None,
        loopback_only=True,
    )
    app.state.draining = asyncio.Event()
    yield app


def serve_stub(port: int) -> None:
    """Serve it as `primus-lens serve` does."""
    listening = socket.create_server(("127.0.0.1", port), backlog=2048)
    with asyncio.Runner(loop_factory=uvloop.Loop) as runner:
        runner.run(cli._serve(stub(), "processor", listening, settings.LimitSettings()))


class Stub(Server):
    """The stub in a process of its own."""

    def start(self) -> "Stub":
        """Start it and wait until it answers."""
        command = [sys.executable, __file__, "--serve-stub", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while not self.is_ready():
            time.sleep(0.05)
        return self


def cpu_s(pids: list[int]) -> float:
    """What processes have used so far."""
    used = 0.0
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = psutil.Process(pid).cpu_times()
            used += times.user + times.system
    return used


class Run:
    """One load on one server."""

    def __init__(self, server: Server, connections: int, given: argparse.Namespace) -> None:
        each = max(1, given.requests // connections)
        # Names of their own, so that each run stores steps nobody has.
        name = f"{time.monotonic_ns():x}"
        sent = [
            [
                request(f"{name}-{n}", record, steps=given.steps, metrics=given.metrics)
                for record in range(each)
            ]
            for n in range(connections)
        ]
        before = cpu_s([server.process.pid]), cpu_s(server.postgres())
        statuses, taken = uvloop.run(load(server.port, sent))
        count = each * connections
        if statuses != {"200": count}:
            raise SystemExit(f"not all were stored: {dict(statuses)}")
        self.rate = count / taken
        self.own_us = (cpu_s([server.process.pid]) - before[0]) / count * 1e6
        self.postgres_us = (cpu_s(server.postgres()) - before[1]) / count * 1e6


def measured(database: Server, stubbed: Server, given: argparse.Namespace) -> int:
    """Print the table; returns how many ratios miss the target."""
    points = given.steps * given.metrics
    print(f"{points} points a request: {given.steps} steps of {given.metrics} metrics")
    print(
        LINE.format(
            *("connections", "stub, req/s", "stored, req/s", "ratio", "stub, us"),
            *("stored, us", "PostgreSQL, us"),
        )
    )
    missed = 0
    for server in (database, stubbed):
        Run(server, 20, given)  # warm
    for connections in CONNECTIONS:
        pairs = [
            (Run(stubbed, connections, given), Run(database, connections, given))
            for _ in range(given.rounds)
        ]

        def middle(of: int, what: str, pairs: list[tuple[Run, Run]] = pairs) -> float:
            return statistics.median(getattr(pair[of], what) for pair in pairs)

        ratio = statistics.median(stored.rate / stubbed.rate for stubbed, stored in pairs)
        missed += connections > 1 and ratio < TARGET
        print(
            LINE.format(
                connections,
                f"{middle(0, 'rate'):.0f}",
                f"{middle(1, 'rate'):.0f}",
                f"{ratio:.2f}",
                f"{middle(0, 'own_us'):.0f}",
                f"{middle(1, 'own_us'):.0f}",
                f"{middle(1, 'postgres_us'):.0f}",
            )
        )
    print(f"the target is {TARGET} from 20 connections on; one alone waits for each of its commits")
    return missed


def profile(server: Server, given: argparse.Namespace) -> None:
    """Where the time of the server's own process goes, PostgreSQL aside."""
    Run(server, 20, given)
    server.stop(signal.SIGTERM)
    told = io.StringIO()
    stats = pstats.Stats(str(server.data_directory.with_suffix(".profile")), stream=told)
    stats.sort_stats("tottime").print_stats(given.profile)
    print(told.getvalue())


class Profiled(Server):
    """A server under cProfile."""

    command = (sys.executable, __file__, "--serve-profiled")


def serve_profiled(words: list[str]) -> None:
    """`primus-lens` with these words, its profile left beside its data."""
    profiler = cProfile.Profile()
    folder = Path(words[words.index("--data-dir") + 1])
    with contextlib.suppress(SystemExit):
        profiler.runcall(cli.main, words)
    profiler.dump_stats(folder.with_suffix(".profile"))


def main() -> int:
    """Measure and print; status 1 when the target is missed."""
    if sys.argv[1:2] == ["--serve-stub"]:
        serve_stub(int(sys.argv[2]))
        return 0
    if sys.argv[1:2] == ["--serve-profiled"]:
        serve_profiled(sys.argv[2:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="pairs for each row")
    parser.add_argument("--requests", type=int, default=1000, help="of a run")
    parser.add_argument("--steps", type=int, default=2, help="in a request")
    parser.add_argument("--metrics", type=int, default=50, help="of a step")
    parser.add_argument("--profile", type=int, default=0, help="lines of a profile instead")
    given = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory(prefix="bench-http-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs under an account of its own
        config = folder / "server.yaml"
        config.write_text(NO_SELF_METRICS)
        kind = Profiled if given.profile else Server
        database = kind(folder / "server", "--config", str(config)).start()
        stubbed = Stub(folder / "stub")
        try:
            if given.profile:
                profile(database, given)
                return 0
            return measured(database, stubbed.start(), given) > 0
        finally:
            for server in (database, stubbed):
                if server.process is not None and server.process.poll() is None:
                    server.stop()


if __name__ == "__main__":
    os.environ.setdefault("PRIMUS_LENS_WANDB_HOOK", "false")
    sys.exit(main())
