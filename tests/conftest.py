"""Real parts for every test: one PostgreSQL and one server a session, fresh ones on request."""

import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import hypothesis
import pytest
from serving import NO_SELF_METRICS, Server, run

from primus_lens.store import tokens
from primus_lens.store.database import Database

# How long an example takes says how busy the machine is, nothing about the law.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

NEEDS = {
    "database_dsn": "pg",
    "server": "server",
    "guarded_server": "server",
    "make_server": "server",
}


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


_POSTGRES = """
import asyncio, sys
from pathlib import Path
from primus_lens.store.embedded import EmbeddedPostgres

async def main():
    embedded = EmbeddedPostgres(Path(sys.argv[1]), settings={"fsync": "off"})
    print(await embedded.start(), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await embedded.stop()

asyncio.run(main())
"""


@pytest.fixture(scope="session")
def postgres(open_directory) -> Iterator[str]:
    """The DSN of a PostgreSQL that lives as long as the session.

    Its supervisor has a process of its own, which ends with its stdin: some tests change the
    supervisor's module, or the clock, in this one.
    """
    command = [sys.executable, "-c", _POSTGRES, str(open_directory / "postgres")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        dsn = process.stdout.readline().strip()
        assert dsn, "PostgreSQL did not start"
        yield dsn


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

    run(migrate())
    return "lens_template"


@pytest.fixture
def database_dsn(postgres, migrated_template) -> str:
    """The DSN of a fresh database with this version's tables, for one test alone."""
    name = f"lens_{uuid.uuid4().hex}"
    run(_execute(postgres, f"CREATE DATABASE {name} TEMPLATE {migrated_template}"))
    return _named(postgres, name)


def _named(dsn: str, name: str) -> str:
    return dsn.replace("/primus_lens?", f"/{name}?")


@pytest.fixture(scope="session")
def server(open_directory, postgres) -> Iterator[Server]:
    """The session's server, on an external PostgreSQL; tests keep apart by their workloads."""
    run(_execute(postgres, "CREATE DATABASE lens_server"))
    config = open_directory / "server.yaml"
    dsn = _named(postgres, "lens_server")
    config.write_text(NO_SELF_METRICS + f"database: {{dsn: '{dsn}'}}\n")
    running = Server(open_directory / "server", "--config", str(config)).start()
    running.dsn = dsn
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="session")
def guarded_server(open_directory, postgres) -> Iterator[Server]:
    """The session's server that asks for tokens, also on an external PostgreSQL."""
    run(_execute(postgres, "CREATE DATABASE lens_guarded"))
    config = open_directory / "guarded.yaml"
    dsn = _named(postgres, "lens_guarded")
    config.write_text(f"{NO_SELF_METRICS}database: {{dsn: '{dsn}'}}\naccess: {{required: true}}\n")
    running = Server(open_directory / "guarded", "--config", str(config)).start()
    running.dsn = dsn
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture
def make_token(guarded_server) -> Callable[..., str]:
    """Makes tokens of the server that asks for them: scopes, and what store/tokens takes."""

    def make(*scopes: str, **more: object) -> str:
        return guarded_server.at_database(
            lambda database: tokens.create(database, scopes=scopes, now=time.time(), **more)
        )

    return make


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
