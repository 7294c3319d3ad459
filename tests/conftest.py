"""Real parts for every test: one PostgreSQL and one server a session, fresh ones on request."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from primus_lens.store.database import Database
from primus_lens.store.embedded import EmbeddedPostgres

NEEDS = {"database_dsn": "pg", "server": "server", "make_server": "server"}
UP_WITHIN_S = 60


def pytest_collection_modifyitems(items):
    """A test is marked by the real parts it asks for."""
    for item in items:
        for fixture, marker in NEEDS.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(getattr(pytest.mark, marker))


@pytest.fixture(scope="session")
def open_directory() -> Iterator[Path]:
    """A directory that any account may enter, as an unprivileged PostgreSQL needs."""
    with tempfile.TemporaryDirectory(prefix="lens-test-", ignore_cleanup_errors=True) as path:
        Path(path).chmod(0o755)
        yield Path(path)


@pytest.fixture(scope="session")
def postgres(open_directory) -> Iterator[str]:
    """The DSN of a PostgreSQL that lives as long as the session."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(UP_WITHIN_S)

    embedded = EmbeddedPostgres(open_directory / "postgres", settings={"fsync": "off"})
    yield run(embedded.start())
    run(embedded.stop())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def _execute(dsn, statement):
    connection = await asyncpg.connect(dsn)
    await connection.execute(statement)
    await connection.close()


@pytest.fixture(scope="session")
def migrated_template(postgres) -> str:
    """The name of a database with this version's tables, to be copied."""

    async def migrate():
        await _execute(postgres, "CREATE DATABASE lens_template")
        database = Database(_named(postgres, "lens_template"))
        await database.open()
        await database.close()

    asyncio.run(migrate())
    return "lens_template"


@pytest.fixture
def database_dsn(postgres, migrated_template) -> str:
    """The DSN of a fresh database with this version's tables, for one test alone."""
    name = f"lens_{uuid.uuid4().hex}"
    asyncio.run(_execute(postgres, f"CREATE DATABASE {name} TEMPLATE {migrated_template}"))
    return _named(postgres, name)


def _named(dsn: str, name: str) -> str:
    return dsn.replace("/primus_lens?", f"/{name}?")


class Server:
    """A real `primus-lens serve` in a process of its own, on an embedded PostgreSQL of its own."""

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
                    *(sys.executable, "-m", "primus_lens", "serve"),
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

        return asyncio.run(fetch())

    def points(self, workload: str, **parameters: object) -> dict[tuple[str, int], object]:
        """All points of a workload as the API tells them: (name, step) to value."""
        rows = self.get(f"/workloads/{workload}/metrics/data", **parameters).json()["data"]
        return {(row["metric_name"], row["iteration"]): row["value"] for row in rows}


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


NO_SELF_METRICS = "metrics: {prometheus: {enabled: false}}\n"


@pytest.fixture(scope="session")
def server(open_directory, postgres) -> Iterator[Server]:
    """The session's server, on an external PostgreSQL; tests keep apart by their workloads."""
    asyncio.run(_execute(postgres, "CREATE DATABASE lens_server"))
    config = open_directory / "server.yaml"
    dsn = _named(postgres, "lens_server")
    config.write_text(NO_SELF_METRICS + f"database: {{dsn: '{dsn}'}}\n")
    running = Server(open_directory / "server", "--config", str(config)).start()
    running.dsn = dsn
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture
def make_server(open_directory) -> Iterator:
    """Makes servers of a test of its own, not yet started; all are stopped at the end."""
    made: list[Server] = []

    def make(config: str = NO_SELF_METRICS, *options: str) -> Server:
        name = f"server-{uuid.uuid4().hex[:8]}"
        path = open_directory / f"{name}.yaml"
        path.write_text(config)
        made.append(Server(open_directory / name, "--config", str(path), *options))
        return made[-1]

    yield make
    for each in made:
        if each.process is not None and each.process.poll() is None:
            each.stop()


@pytest.fixture
def workload() -> str:
    """A workload of the test's own."""
    return f"w-{uuid.uuid4().hex[:12]}"
