"""Embedded servers for tests: started, asked, killed, and what is left of them."""

import asyncio
import contextlib
import os
import stat
import subprocess
import sys

import asyncpg
import psutil
import pytest

from primus_lens.store import (
    embedded_processes,
)
from primus_lens.store.embedded import EmbeddedPostgres

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root lends PostgreSQL an account")

NOBODY = 65534

CONNECTION_LOST = (OSError, asyncpg.PostgresError, asyncpg.InternalClientError)

# "Our server", to be killed. It drops its rights only once everything is imported, threads too,
# because the interpreter itself may be below a directory that only root enters.
SERVER = """
import asyncio, os, sys
from pathlib import Path
from primus_lens.store.embedded import EmbeddedPostgres

async def main():
    print(await EmbeddedPostgres(Path(sys.argv[1])).start(), flush=True)
    await asyncio.Event().wait()

if len(sys.argv) > 2:
    asyncio.run(asyncio.to_thread(int))
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
asyncio.run(main())
"""


def end_processes(directory):
    """Kill what a failed test left running."""
    for process in processes_below(directory):
        process.kill()


def processes_below(directory):
    """Every live postgres or initdb that works in the data directory of this place."""
    places = (directory, *directory.glob("*"), *directory.glob("*/*"))
    return embedded_processes.working_in(places, marks=(f"{directory}/",), uid=-1)


def postmaster_of(data):
    """The postmaster by the number it wrote itself."""
    return psutil.Process(int((data / "postgres/postmaster.pid").read_text().split()[0]))


def processes_named(data, name):
    """Those below the data directory that have this name; one that is ending has none."""
    found = []
    for process in processes_below(data):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.name() == name:
                found.append(process)
    return found


async def wait_for_process(data, name):
    """Wait until a process of this name works in the data directory."""
    while not processes_named(data, name):  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(data, **settings):
    """A server of ours in this process."""
    server = EmbeddedPostgres(data, settings=settings)
    try:
        yield await server.start()
    finally:
        await server.stop()


@contextlib.contextmanager
def server_process(data, *arguments, prefix=()):
    """Our server as another process, ready; killed at the end."""
    command = [*prefix, sys.executable, "-c", SERVER, str(data), *arguments]
    environment = os.environ | {"HOME": "/nonexistent"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            dsn = process.stdout.readline().strip()
            assert dsn
            yield process, dsn
        finally:
            process.kill()


@contextlib.asynccontextmanager
async def connected(dsn):
    """A connection."""
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def insert(dsn, number):
    """Commit one row."""
    async with connected(dsn) as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (number bigint)")
        await connection.execute("INSERT INTO kept VALUES ($1)", number)


async def rows(dsn):
    """The committed rows."""
    async with connected(dsn) as connection:
        kept = await connection.fetch("SELECT number FROM kept ORDER BY number")
    return [row["number"] for row in kept]


async def rows_when_back(dsn):
    """The rows as soon as the server answers again."""
    while True:
        with contextlib.suppress(OSError, asyncpg.PostgresError):
            return await rows(dsn)
        await asyncio.sleep(0.02)


async def fill(data):
    """Start a server, commit the row 1, stop."""
    async with running(data) as dsn:
        await insert(dsn, 1)


async def rows_after_start(data):
    """The rows a server finds when it starts."""
    async with running(data) as dsn:
        return await rows(dsn)


def setting(name, data, **settings):
    """What a running server says of one of its settings."""

    async def ask():
        async with running(data, **settings) as dsn, connected(dsn) as connection:
            return await connection.fetchval("SELECT current_setting($1)", name)

    return asyncio.run(ask())


def reachable_by_all(path):
    """Whether any account may enter every directory above a file."""
    return all(above.stat().st_mode & stat.S_IXOTH for above in path.parents)
