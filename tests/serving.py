"""A real `primus-lens serve` for tests: started, asked, stopped, killed."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import asyncpg
import httpx
import pytest

from primus_lens.store import embedded_directory
from primus_lens.store.database import Database

T = TypeVar("T")

UP_WITHIN_S = 60
NO_SELF_METRICS = "metrics: {prometheus: {enabled: false}}\n"


def run(coroutine: Coroutine[None, None, T]) -> T:
    """What a coroutine returns; run in a thread, because a browser's test has a loop in its own."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, coroutine).result()


def fresh_database(dsn: str) -> str:
    """The DSN of a new, empty database beside the one that a DSN names."""
    name = f"lens_{uuid.uuid4().hex}"

    async def create():
        connection = await asyncpg.connect(dsn)
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()

    run(create())
    return dsn.replace("/primus_lens?", f"/{name}?")


class Server:
    """A real `primus-lens serve` in a process of its own, on an embedded PostgreSQL of its own."""

    command = (sys.executable, "-m", "primus_lens")

    def __init__(self, data_directory: Path, *options: str, port: int | None = None) -> None:
        self.data_directory = data_directory
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._options = options
        self.dsn = ""
        self.log = data_directory.with_suffix(".log")
        self.process: subprocess.Popen | None = None

    def start(self) -> "Server":
        """Start it and wait until its database answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(*self.command, "serve"),
                    *("--port", str(self.port), "--data-dir", str(self.data_directory)),
                    *self._options,
                ],
                stdout=log,
                stderr=log,
                env={**os.environ, "PRIMUS_LENS_WANDB_HOOK": "false"},
            )
        deadline = time.monotonic() + UP_WITHIN_S
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the server did not come up:\n{self.log.read_text()}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)  # between two looks, and at once if it dies
        return self

    def is_ready(self) -> bool:
        """Whether /readyz says so."""
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/readyz").status_code == httpx.codes.OK
        return False

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal and wait for its end. Returns the exit status."""
        self.process.send_signal(number)
        return self.process.wait(UP_WITHIN_S)

    def postgres(self) -> list[int]:
        """The pids of the postgres processes in its data directory, the least the postmaster's."""
        below = str(self.data_directory)
        found = []
        for process in Path("/proc").iterdir():
            if process.name.isdigit():
                try:
                    working_directory = str((process / "cwd").readlink())
                except OSError:  # gone, or a zombie
                    continue
                if working_directory.startswith(below):
                    found.append(int(process.name))
        return found

    def kill_postgres(self) -> None:
        """SIGKILL its postmaster and wait until another one answers."""
        postmaster = min(self.postgres())
        os.kill(postmaster, signal.SIGKILL)
        deadline = time.monotonic() + UP_WITHIN_S
        while min(self.postgres(), default=postmaster) == postmaster or not self.is_ready():
            if time.monotonic() > deadline:
                pytest.fail(f"PostgreSQL did not come back:\n{self.log.read_text()}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)

    def own_dsn(self) -> str:
        """Where its embedded PostgreSQL is reached."""
        return embedded_directory.dsn(embedded_directory.socket_of_running(self.data_directory))

    def post(self, path: str, body: object, **headers: str) -> httpx.Response:
        """POST JSON below /api/v1."""
        return httpx.post(f"{self.url}/api/v1{path}", json=body, headers=headers, timeout=30)

    def get(self, path: str, **parameters: object) -> httpx.Response:
        """GET below /api/v1."""
        return httpx.get(f"{self.url}/api/v1{path}", params=parameters, timeout=30)

    def sql(self, statement: str, *parameters: object) -> list[asyncpg.Record]:
        """Rows straight from the database of the session's server."""

        async def fetch():
            connection = await asyncpg.connect(self.dsn)
            rows = await connection.fetch(statement, *parameters)
            await connection.close()
            return rows

        return run(fetch())

    def at_database(self, work: Callable[[Database], Awaitable[T]]) -> T:
        """What some work of a store module returns, done beside the session's server."""

        async def done():
            database = Database(self.dsn, pool_size=1)
            await database.open(migrate=False)
            try:
                return await work(database)
            finally:
                await database.close()

        return run(done())

    def points(self, workload: str, **parameters: object) -> dict[tuple[str, int], object]:
        """All points of a workload as the API tells them: (name, step) to value."""
        rows = self.get(f"/workloads/{workload}/metrics/data", **parameters).json()["data"]
        return {(row["metric_name"], row["iteration"]): row["value"] for row in rows}


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]
