"""The embedded server with real processes, really killed."""

import asyncio
import contextlib
import logging

import asyncpg
import pytest
from clusters import (
    CONNECTION_LOST,
    as_root,
    insert,
    postmaster_of,
    processes_below,
    rows,
    rows_when_back,
    running,
    server_process,
)

from primus_lens.model.errors import StoreUnavailable
from primus_lens.store import (
    embedded,
    embedded_directory,
    embedded_processes,
    embedded_programs,
)
from primus_lens.store.embedded import EmbeddedPostgres

pytestmark = pytest.mark.pg


@pytest.mark.parametrize(
    "prefix",
    [
        pytest.param((), id="plain"),
        pytest.param(("setpriv", "--bounding-set=-sys_ptrace"), id="container", marks=as_root),
    ],
)
def test_killed_server_is_succeeded(data, prefix):
    """After SIGKILL of our server the next ends its postmaster and keeps every committed row.

    Also for root without CAP_SYS_PTRACE, as in a container: it may not see working directories.
    """
    with server_process(data, prefix=prefix) as (server, dsn):
        asyncio.run(insert(dsn, 1))
        orphan = postmaster_of(data)
        server.kill()
        server.wait()
    assert embedded_processes.is_alive(orphan)
    with server_process(data, prefix=prefix) as (_, dsn):
        assert not embedded_processes.is_alive(orphan)
        assert asyncio.run(rows(dsn)) == [1]


def test_killed_postmaster_comes_back_with_every_acknowledged_row(data):
    """SIGKILL of the postmaster while inserting loses no row that was acknowledged."""

    async def insert_until_killed():
        acknowledged = [1]
        async with running(data) as dsn:
            await insert(dsn, 1)
            first = postmaster_of(data)
            connection = await asyncpg.connect(dsn)
            with contextlib.suppress(*CONNECTION_LOST):
                for number in range(2, 1_000_000):
                    await connection.execute("INSERT INTO kept VALUES ($1)", number)
                    acknowledged.append(number)
                    if number == 500:
                        first.kill()
            connection.terminate()
            kept = await rows_when_back(dsn)
            assert postmaster_of(data).pid != first.pid
        return acknowledged, kept

    acknowledged, kept = asyncio.run(insert_until_killed())
    assert len(acknowledged) >= 500
    assert kept[: len(acknowledged)] == acknowledged


@pytest.mark.parametrize("steady_s", [0, 60], ids=["after long", "at once"])
def test_postmaster_killed_twice_comes_back_twice(initialised, monkeypatch, steady_s):
    """The server that was started again is watched like the first."""
    monkeypatch.setattr(embedded, "_STEADY_S", steady_s)

    async def kill_twice():
        async with running(initialised) as dsn:
            for _ in range(2):
                postmaster_of(initialised).kill()
                assert await rows_when_back(dsn) == [1]

    asyncio.run(kill_twice())


def test_killed_postmaster_leaves_no_process_after_stop(initialised):
    """stop() right after the postmaster was killed leaves none of its children."""

    async def kill_and_stop():
        async with running(initialised):
            postmaster_of(initialised).kill()

    asyncio.run(kill_and_stop())
    assert not processes_below(initialised)


@pytest.fixture
def recovering(initialised, monkeypatch):
    """A server that recovers until it is promoted, and soon says so."""
    monkeypatch.setattr(embedded, "_PROGRESS_S", 0.05)
    signal_file = initialised / "postgres/standby.signal"
    signal_file.touch()
    yield EmbeddedPostgres(initialised, settings={"hot_standby": "off", "restore_command": "false"})
    signal_file.unlink(missing_ok=True)


class Heard(logging.Handler):
    """Sets `event` when the supervisor logs this message."""

    def __init__(self, message):
        super().__init__()
        self.message = message
        self.event = asyncio.Event()

    def emit(self, record):
        """Compare."""
        if record.getMessage() == self.message:
            self.event.set()


@contextlib.asynccontextmanager
async def hearing(message, caplog):
    """Leave the block only when the supervisor has logged this message."""
    caplog.set_level(logging.INFO, logger=embedded.log.name)
    handler = Heard(message)
    embedded.log.addHandler(handler)
    yield
    await handler.event.wait()
    embedded.log.removeHandler(handler)


def test_long_recovery_is_reported_and_waited_for(recovering, initialised, caplog):
    """However long recovery takes, start() waits, and the log says that it goes on."""

    async def recover():
        async with hearing("postgres is still starting", caplog):
            start = asyncio.create_task(recovering.start())
        account = embedded_programs.account_for(initialised)
        programs = embedded_programs.find_programs(account, initialised)
        while not start.done():  # refused until the recovery has got as far as waiting
            with contextlib.suppress(StoreUnavailable):
                programs.run("pg_ctl", ["promote", "-D", initialised / "postgres"], cwd=initialised)
            await asyncio.sleep(0.02)
        kept = await rows(await start)
        await recovering.stop()
        return kept

    assert asyncio.run(recover()) == [1]


def test_stop_during_recovery_stops(recovering, initialised, caplog):
    """stop() does not wait for a recovery."""

    async def stop():
        async with hearing("postgres is still starting", caplog):
            start = asyncio.create_task(recovering.start())
        await recovering.stop()
        with pytest.raises(StoreUnavailable, match="was stopped while it started"):
            await start

    asyncio.run(stop())
    assert not processes_below(initialised)


def test_log_is_kept_small_while_running(initialised, monkeypatch):
    """A log that grows full is rotated under the running server."""
    monkeypatch.setattr(embedded, "_LOG_CHECK_S", 0.01)
    monkeypatch.setattr(embedded_directory, "_LOG_BYTES", 100)

    async def rotated():
        async with running(initialised):
            while not (initialised / "postgres.log.1").exists():  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)

    asyncio.run(rotated())


def test_failed_supervision_is_logged_and_ends_the_server(initialised, monkeypatch, caplog):
    """A bug in the supervisor stops PostgreSQL loudly rather than leave it unwatched."""
    monkeypatch.setattr(embedded, "_LOG_CHECK_S", "no number")

    async def fail():
        async with hearing("supervision of postgres ended", caplog), running(initialised):
            pass

    asyncio.run(fail())
    assert not processes_below(initialised)
