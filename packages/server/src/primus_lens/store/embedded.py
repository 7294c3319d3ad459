"""One PostgreSQL server in a directory of ours, kept alive for as long as we live.

embedded_directory, embedded_programs, embedded_processes and embedded_settings prepare; this
module starts the postmaster as a child, waits until it answers, and starts it again when it dies.
"""

import asyncio
import logging
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

import asyncpg

from primus_lens.model.errors import StoreUnavailable
from primus_lens.store import embedded_directory, embedded_programs, embedded_settings
from primus_lens.store.embedded_directory import DATABASE, PORT, USER, ClusterDirectory
from primus_lens.store.embedded_programs import Programs

log = logging.getLogger(__name__)

_FIRST_POLL_S = 0.02  # a warm start takes 0.06 s
_SLOWEST_POLL_S = 0.5
_PROGRESS_S = 10.0  # how often a long recovery is reported
_LOG_CHECK_S = 60.0
_CONNECT_S = 10.0  # a server this slow to greet is asked again
_SHUTDOWN_S = (
    (signal.SIGINT, 15.0),  # fast: sessions are cut, a checkpoint is written
    (signal.SIGQUIT, 10.0),  # immediate: the next start replays the log
    (signal.SIGKILL, None),
)
_STEADY_S = 60.0  # a server that lived this long is restarted at once
_FIRST_BACKOFF_S = 0.1
_SLOWEST_BACKOFF_S = 30.0

_COMPLAINT = re.compile(r"\b(LOG:  invalid value|HINT|ERROR|FATAL|PANIC)\b")

P = ParamSpec("P")
R = TypeVar("R")


class EmbeddedPostgres:
    """One PostgreSQL server in a directory of ours, as a child process, restarted when it dies.

    data_directory: made when missing; must be empty or ours. settings: PostgreSQL settings that
    replace the fitted ones. Belongs to one event loop at a time.
    """

    def __init__(self, data_directory: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self._root = Path(data_directory).expanduser().resolve()
        self._settings = dict(settings or {})
        self._supervisor: _Supervisor | None = None

    @property
    def dsn(self) -> str:
        """Where clients connect. Raises StoreUnavailable when the server was not started."""
        if self._supervisor is None or not self._supervisor.ready.done():
            raise StoreUnavailable("the embedded PostgreSQL was not started")
        return self._supervisor.dsn

    async def start(self) -> str:
        """Start the server and wait, however long its recovery takes. Returns the DSN.

        Raises ConfigError when the directory or machine does not allow it, StoreUnavailable when
        PostgreSQL does not come up; nothing is left running then.
        """
        if self._supervisor is None:
            self._supervisor = _Supervisor(self._root, self._settings)
        supervisor = self._supervisor
        try:
            await asyncio.wait(supervisor.milestones, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self.stop()
            raise
        if not supervisor.ready.done():
            self._supervisor = None
            await supervisor.life
            raise StoreUnavailable("the embedded PostgreSQL was stopped while it started")
        return supervisor.dsn

    async def stop(self) -> None:
        """Stop the server: fast, after 15 s immediate. Harmless when it does not run."""
        supervisor = self._supervisor
        if supervisor is None:
            return
        if not supervisor.stopping.done():
            supervisor.stopping.set_result(None)
        await asyncio.wait([supervisor.life])
        if not supervisor.life.cancelled():
            supervisor.life.exception()  # logged when it was raised
        if supervisor is self._supervisor:
            self._supervisor = None


class _Supervisor:
    """Owns directory and child from the first start to the end; restarts the child in between.

    ready: a client got in for the first time. stopping: set it to have everything ended.
    life: the task that does all this; cancelling it is an order to stop, too.
    """

    def __init__(self, root: Path, settings: Mapping[str, str]) -> None:
        loop = asyncio.get_running_loop()
        self.dsn = ""
        self.ready: asyncio.Future[None] = loop.create_future()
        self.stopping: asyncio.Future[None] = loop.create_future()
        self.life = asyncio.create_task(self._live(root, settings))
        self.milestones: list[asyncio.Future[None]] = [self.ready, self.life]

    async def _live(self, root: Path, settings: Mapping[str, str]) -> None:
        # Milliseconds; in a thread, a cancellation could lose the lock it returns.
        directory = embedded_directory.claim(root)
        try:
            programs = await _in_thread(_prepare, directory, settings)
            self.dsn = embedded_directory.dsn(directory.socket_directory)
            await self._keep_alive(directory, programs)
        except OSError as error:
            raise StoreUnavailable(f"PostgreSQL in {root} cannot be run: {error}") from error
        except Exception:
            if self.ready.done():  # else start() raises it
                log.exception("supervision of postgres ended")
            raise
        finally:
            directory.release()

    async def _keep_alive(self, directory: ClusterDirectory, programs: Programs) -> None:
        """Start the postmaster again and again, until told to stop."""
        backoff_s = 0.0
        while not self.stopping.done():
            began = time.monotonic()
            try:
                await self._one_life(directory, programs)
            except (StoreUnavailable, OSError) as error:
                if not self.ready.done():
                    raise
                log.error("postgres did not come back", extra={"reason": str(error)})  # noqa: TRY400 - the reason says it all
            if time.monotonic() - began > _STEADY_S:
                backoff_s = 0.0
            await asyncio.wait([self.stopping], timeout=backoff_s)
            backoff_s = min(max(backoff_s * 2, _FIRST_BACKOFF_S), _SLOWEST_BACKOFF_S)

    async def _one_life(self, directory: ClusterDirectory, programs: Programs) -> None:
        """From start to end of one postmaster; returns when it died or was told to stop."""
        await _in_thread(directory.clear)
        offset = directory.log_size()
        postmaster = _Postmaster(directory, programs)
        try:
            if not await self._until_ready(directory, postmaster, offset):
                return
            log.info("postgres is ready", extra={"directory": str(directory.root)})
            if not self.ready.done():
                self.ready.set_result(None)
            while not await self._over(postmaster, timeout_s=_LOG_CHECK_S):
                await _in_thread(directory.rotate_log)
            if postmaster.ended.done():
                log.error("postgres died", extra={"status": postmaster.ended.result()})
        finally:
            await postmaster.shut_down()
            if postmaster.left_children:
                await _in_thread(directory.clear)

    async def _over(self, postmaster: "_Postmaster", *, timeout_s: float) -> bool:
        """Wait for the postmaster's end or the order to stop; False when neither came in time."""
        either: list[asyncio.Future[int] | asyncio.Future[None]] = [postmaster.ended, self.stopping]
        done, _ = await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)

    async def _until_ready(
        self, directory: ClusterDirectory, postmaster: "_Postmaster", offset: int
    ) -> bool:
        """Wait until a client gets in; False when stopping. There is no limit: recovery is long.

        offset: where the log stood before. Raises StoreUnavailable with the server's own words when
        it ends instead.
        """
        began = reported = time.monotonic()
        poll_s = _FIRST_POLL_S
        while not await self._over(postmaster, timeout_s=poll_s):
            if await self._answers(directory, postmaster.programs):
                return True
            poll_s = min(poll_s * 1.2, _SLOWEST_POLL_S)
            if time.monotonic() - reported > _PROGRESS_S:
                reported = time.monotonic()
                said = directory.log_since(offset)[-1:]
                log.info(
                    "postgres is still starting",
                    extra={"waited_s": round(reported - began), "said": "".join(said)},
                )
        if self.stopping.done():
            return False
        lines = directory.log_since(offset)
        fatal = [line for line in lines if _COMPLAINT.search(line)] or lines[-3:]
        raise StoreUnavailable(
            f"PostgreSQL ended while it started, see {directory.log}: {' '.join(fatal)[-800:]}"
        )

    async def _answers(self, directory: ClusterDirectory, programs: Programs) -> bool:
        """Whether a client can connect now; makes the database when it is not there.

        Raises StoreUnavailable when waiting will not help.
        """
        try:
            connection = await asyncpg.connect(self.dsn, timeout=_CONNECT_S)
        except asyncpg.InvalidCatalogNameError:
            host = str(directory.socket_directory)
            arguments = ["-h", host, "-p", str(PORT), "-U", USER, "--maintenance-db=postgres"]
            await _in_thread(programs.run, "createdb", [*arguments, DATABASE], cwd=directory.root)
            return True
        except asyncpg.TooManyConnectionsError:
            return True
        except (PermissionError, asyncpg.PostgresError) as error:
            if isinstance(error, asyncpg.CannotConnectNowError | asyncpg.PostgresConnectionError):
                return False
            raise StoreUnavailable(f"PostgreSQL does not let us in: {error}") from error
        except OSError:
            return False
        await connection.close()
        return True


class _Postmaster:
    """The child process. ended: resolves to its exit status."""

    def __init__(self, directory: ClusterDirectory, programs: Programs) -> None:
        self.programs = programs
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[int] = self._loop.create_future()
        log_descriptor = directory.open_log()
        try:
            self._process = programs.start(
                "postgres",
                _arguments(directory),
                cwd=directory.root,
                output=log_descriptor,
            )
        finally:
            os.close(log_descriptor)
        # A thread, because uvloop's subprocesses cannot run as another account.
        threading.Thread(target=self._watch, name="postmaster-watch", daemon=True).start()

    def _watch(self) -> None:
        status = self._process.wait()
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.ended.set_result, status)

    @property
    def left_children(self) -> bool:
        """Whether it ended other than by a shutdown, which waits for its children."""
        return self.ended.done() and self.ended.result() != 0

    async def shut_down(self) -> None:
        """End it, if need be by force; cancelled, leave it with the order for a quick end."""
        try:
            for number, patience_s in _SHUTDOWN_S:
                if self.ended.done():
                    return
                self._process.send_signal(number)
                await asyncio.wait([self.ended], timeout=patience_s)
        except asyncio.CancelledError:
            self._process.send_signal(signal.SIGQUIT)
            raise


def _prepare(directory: ClusterDirectory, settings: Mapping[str, str]) -> Programs:
    """Everything before the first child that is done once."""
    programs = embedded_programs.find_programs(directory.account, directory.root)
    directory.initialise(programs)
    directory.protect()
    directory.write_configuration(embedded_settings.configuration(settings, root=directory.root))
    return programs


def _arguments(directory: ClusterDirectory) -> list[str]:
    """What neither postgresql.conf nor ALTER SYSTEM may change."""
    fixed = {
        "config_file": str(directory.configuration),
        "cluster_name": directory.name,
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_directories": str(directory.socket_directory),
        "unix_socket_permissions": "0700",
    }
    options = [part for name, value in fixed.items() for part in ("-c", f"{name}={value}")]
    return ["-D", str(directory.cluster), *options]


async def _in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run in a worker thread; cancelled, wait for its end first: it cannot be interrupted."""
    # No task: a loop that ends would cancel it under the running thread.
    work = asyncio.get_running_loop().run_in_executor(None, partial(function, *args, **kwargs))
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        work.exception()  # who was cancelled does not ask
        raise cancelled
    return work.result()
