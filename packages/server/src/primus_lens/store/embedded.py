"""One PostgreSQL server in a directory of ours, kept alive for as long as we live.

embedded_directory, embedded_programs, embedded_processes and embedded_settings prepare; this
module starts the postmaster as a child, waits until it answers, and starts it again when it dies.
"""

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ParamSpec, TypeVar
from urllib.parse import quote

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
_SHUTDOWN_S = (
    (signal.SIGINT, 15.0),  # fast: sessions are cut, a checkpoint is written
    (signal.SIGQUIT, 10.0),  # immediate: the next start replays the log
    (signal.SIGKILL, None),
)
_STEADY_S = 60.0  # a server that lived this long is restarted at once
_FIRST_BACKOFF_S = 0.1
_SLOWEST_BACKOFF_S = 30.0

P = ParamSpec("P")
R = TypeVar("R")


class EmbeddedPostgres:
    """One PostgreSQL server in a directory of ours, as a child process, restarted when it dies.

    data_directory: made when missing; must be empty or ours. settings: PostgreSQL settings that
    replace the fitted ones. Belongs to one event loop.
    """

    def __init__(self, data_directory: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self._root = Path(data_directory).expanduser().resolve()
        self._settings = dict(settings or {})
        self._dsn = ""
        self._life: asyncio.Task[None] | None = None
        self._stopping: asyncio.Future[None] | None = None

    @property
    def dsn(self) -> str:
        """Where clients connect. Raises StoreUnavailable before the first start."""
        if not self._dsn:
            raise StoreUnavailable("the embedded PostgreSQL was not started")
        return self._dsn

    async def start(self) -> str:
        """Start the server and wait, however long its recovery takes. Returns the DSN.

        Raises ConfigError when the directory or machine does not allow it, StoreUnavailable when
        PostgreSQL does not come up; nothing is left running then.
        """
        if self._life is None:
            loop = asyncio.get_running_loop()
            self._stopping = loop.create_future()
            ready: asyncio.Future[None] = loop.create_future()
            self._life = asyncio.create_task(self._live(ready, self._stopping))
            try:
                await asyncio.wait([ready, self._life], return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                await self.stop()
                raise
            if not ready.done():
                life, self._life = self._life, None
                await life
                raise StoreUnavailable("the embedded PostgreSQL was stopped while it started")
        return self.dsn

    async def stop(self) -> None:
        """Stop the server; fast, after 15 s immediate. Harmless when it does not run."""
        if self._life is None or self._stopping is None:
            return
        if not self._stopping.done():
            self._stopping.set_result(None)
        life = self._life
        await asyncio.wait([life])
        if self._life is life:
            self._life = None

    async def _live(self, ready: asyncio.Future[None], stopping: asyncio.Future[None]) -> None:
        """The supervisor: owns the directory and the child from beginning to end."""
        directory, programs = await _in_thread(_prepare, self._root, self._settings)
        host = quote(str(directory.socket_directory), safe="/")
        self._dsn = f"postgresql:///{DATABASE}?host={host}&port={PORT}&user={USER}"
        backoff_s = 0.0
        try:
            while not stopping.done():
                began = time.monotonic()
                try:
                    await self._one_life(directory, programs, ready, stopping)
                except (StoreUnavailable, OSError) as error:
                    if not ready.done():
                        raise
                    log.error("postgres did not come back", extra={"reason": str(error)})  # noqa: TRY400 - the reason says it all
                if time.monotonic() - began > _STEADY_S:
                    backoff_s = 0.0
                await asyncio.wait([stopping], timeout=backoff_s)
                backoff_s = min(max(backoff_s * 2, _FIRST_BACKOFF_S), _SLOWEST_BACKOFF_S)
        finally:
            await _in_thread(directory.release)

    async def _one_life(
        self,
        directory: ClusterDirectory,
        programs: Programs,
        ready: asyncio.Future[None],
        stopping: asyncio.Future[None],
    ) -> None:
        """From start to death of one postmaster; returns when it died or was told to stop."""
        await _in_thread(directory.clear)
        offset = directory.log_size()
        postmaster = _Postmaster(directory, programs)
        try:
            if not await self._until_ready(directory, postmaster, stopping, offset):
                return
            log.info("postgres is ready", extra={"directory": str(directory.root)})
            if not ready.done():
                ready.set_result(None)
            while not await postmaster.ended_or(stopping, timeout_s=_LOG_CHECK_S):
                await _in_thread(directory.rotate_log)
        finally:
            if postmaster.ended.done():
                log.error("postgres died", extra={"status": postmaster.ended.result()})
            await postmaster.shut_down()

    async def _until_ready(
        self,
        directory: ClusterDirectory,
        postmaster: "_Postmaster",
        stopping: asyncio.Future[None],
        offset: int,
    ) -> bool:
        """Wait until a client gets in; False when stopping. There is no limit: recovery is long.

        Raises StoreUnavailable with the server's own words when it ends instead.
        """
        began = reported = time.monotonic()
        poll_s = _FIRST_POLL_S
        while not await postmaster.ended_or(stopping, timeout_s=poll_s):
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
        if stopping.done():
            return False
        lines = directory.log_since(offset)
        fatal = [line for line in lines if "FATAL" in line or "PANIC" in line] or lines[-3:]
        raise StoreUnavailable(
            f"PostgreSQL ended while it started, see {directory.log}: {' '.join(fatal)[-800:]}"
        )

    async def _answers(self, directory: ClusterDirectory, programs: Programs) -> bool:
        """Whether a client can connect now; makes the database when it is not there."""
        try:
            connection = await asyncpg.connect(self._dsn, timeout=10)
        except asyncpg.InvalidCatalogNameError:
            host = str(directory.socket_directory)
            arguments = ["-h", host, "-p", str(PORT), "-U", USER, "--maintenance-db=postgres"]
            await _in_thread(programs.run, "createdb", [*arguments, DATABASE], cwd=directory.root)
            return True
        except (OSError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError):
            return False
        except asyncpg.TooManyConnectionsError:
            return True
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

    async def ended_or(self, stopping: asyncio.Future[None], *, timeout_s: float) -> bool:
        """Wait for its end or the order to stop; False when neither came in time."""
        either: list[asyncio.Future[int] | asyncio.Future[None]] = [self.ended, stopping]
        done, _ = await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)

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


def _prepare(root: Path, settings: Mapping[str, str]) -> tuple[ClusterDirectory, Programs]:
    """Everything before the first child: ours alone, cleared of the dead, initialised."""
    embedded_directory.inspect(root)
    account = embedded_programs.account_for(root / "postgres", root)
    directory = embedded_directory.claim(root, account)
    try:
        programs = embedded_programs.find_programs(account, root)
        directory.clear()
        directory.initialise(programs)
        directory.protect()
        directory.write_configuration(embedded_settings.configuration(settings, root=root))
    except BaseException:
        directory.release()
        raise
    return directory, programs


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
    work = asyncio.create_task(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise
