"""The embedded server lives and stops with its owner."""

import asyncio
import os
import signal
import stat
import threading
from pathlib import Path

import psutil
import pytest
import uvloop
from clusters import (
    connected,
    fill,
    postmaster_of,
    processes_below,
    rows_after_start,
    running,
    setting,
    wait_for_process,
)

from primus_lens.model.errors import StoreUnavailable
from primus_lens.store import (
    embedded,
    embedded_processes,
)
from primus_lens.store.embedded import EmbeddedPostgres

pytestmark = pytest.mark.pg


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_started_server_has_the_database(data, run):
    """start() returns a DSN that leads to the database primus_lens, on either event loop."""

    async def ask():
        async with running(data) as dsn, connected(dsn) as connection:
            return await connection.fetchval("SELECT current_database()")

    assert run(ask()) == "primus_lens"


def test_stopped_server_leaves_no_process(initialised):
    """After stop() no PostgreSQL process works in the directory."""

    async def start_and_stop():
        async with running(initialised):
            assert processes_below(initialised)

    asyncio.run(start_and_stop())
    assert not processes_below(initialised)


def test_stopping_twice_is_harmless(initialised):
    """stop() of a stopped server, or of one never started, does nothing."""

    async def stop_often():
        server = EmbeddedPostgres(initialised)
        await server.stop()
        await server.start()
        await asyncio.gather(server.stop(), server.stop())
        await server.stop()
        with pytest.raises(StoreUnavailable, match="was not started"):
            _ = server.dsn

    asyncio.run(stop_often())
    assert not processes_below(initialised)


def test_ended_loop_stops_the_server(initialised):
    """A program that ends without stop() leaves no server behind."""

    async def forget():
        await EmbeddedPostgres(initialised).start()

    asyncio.run(forget())
    assert not processes_below(initialised)


def test_program_that_ends_while_starting_leaves_nothing(data):
    """A loop that ends in the middle of a start waits for what cannot be interrupted."""

    async def leave():
        start = asyncio.create_task(EmbeddedPostgres(data).start())
        await wait_for_process(data, "initdb")
        return start

    assert asyncio.run(leave()).cancelled()
    assert not processes_below(data)
    asyncio.run(fill(data))


def test_stop_during_start_ends_the_start(data):
    """Who waits in start() is told that it was stopped."""

    async def stop_at_once():
        server = EmbeddedPostgres(data)
        start = asyncio.create_task(server.start())
        await wait_for_process(data, "initdb")
        await server.stop()
        with pytest.raises(StoreUnavailable, match="was stopped while it started"):
            await start

    asyncio.run(stop_at_once())
    assert not processes_below(data)


def test_impatient_stop_still_ends_the_server(initialised):
    """Cancelled while it shuts down, the supervisor leaves with the order for a quick end."""

    async def cancel_twice():
        server = EmbeddedPostgres(initialised)
        await server.start()
        postmaster = postmaster_of(initialised)
        postmaster.suspend()
        life = server._supervisor.life
        life.cancel()
        await asyncio.sleep(0)
        life.cancel()
        await asyncio.wait([life])
        postmaster.resume()
        return postmaster

    psutil.wait_procs([asyncio.run(cancel_twice())])
    assert "received immediate shutdown request" in (initialised / "postgres.log").read_text()
    assert asyncio.run(rows_after_start(initialised)) == [1]


def test_server_that_cannot_stop_is_killed(initialised, monkeypatch):
    """A server that hangs in its shutdown is ended by force."""
    short = ((signal.SIGINT, 0.2), (signal.SIGQUIT, 0.2), (signal.SIGKILL, None))
    monkeypatch.setattr(embedded, "_SHUTDOWN_S", short)
    monkeypatch.setattr(embedded_processes, "_NOTICE_S", 0.2)
    monkeypatch.setattr(embedded_processes, "_FORCED_S", 2)

    async def hang():
        async with running(initialised):
            for process in processes_below(initialised):
                if "checkpointer" in "".join(process.cmdline()):
                    process.suspend()

    asyncio.run(hang())
    assert not processes_below(initialised)


def test_start_and_stop_leak_nothing(initialised):
    """Descriptors and threads are back to where they were."""
    asyncio.run(rows_after_start(initialised))
    before = _held()
    asyncio.run(rows_after_start(initialised))
    assert _held() == before


def _held():
    """Count descriptors and threads; what has told the end of a postmaster is left to end, too."""
    for thread in threading.enumerate():
        if thread.name == "postmaster-watch":
            thread.join(10)
    return psutil.Process().num_fds(), threading.active_count()


def test_data_survives_a_restart(initialised):
    """What was committed before stop() is there after the next start()."""
    assert asyncio.run(rows_after_start(initialised)) == [1]


def test_server_listens_on_no_network(initialised):
    """Only the socket in the protected directory leads in."""
    assert setting("listen_addresses", initialised) == ""


def test_socket_is_in_a_closed_directory(initialised):
    """The directory of the socket is entered by its owner alone."""
    directory = Path(setting("unix_socket_directories", initialised))
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_settings_replace_the_fitted_ones(initialised):
    """A setting given by the operator wins, quotes and all."""
    assert setting("log_line_prefix", initialised, log_line_prefix="it's \\ %p") == "it's \\ %p"


def test_wrong_setting_is_told_in_postgres_words(initialised):
    """A server that refuses to start says why, and the directory is free again."""
    with pytest.raises(StoreUnavailable, match='invalid value for parameter "work_mem"'):
        setting("work_mem", initialised, work_mem="much")
    assert asyncio.run(rows_after_start(initialised)) == [1]


def test_postgres_is_in_a_session_of_its_own(initialised):
    """A terminal's Ctrl-C reaches us and not PostgreSQL."""

    async def session():
        async with running(initialised):
            return os.getsid(postmaster_of(initialised).pid)

    assert asyncio.run(session()) != os.getsid(0)
