"""The command `primus-lens`."""

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import click
import msgspec
import uvicorn
from fastapi import FastAPI

import primus_lens
from primus_lens import (
    assembly,
    cli_db,
    cli_grafana,
    cli_import,
    cli_local,
    cli_read,
    cli_token,
    cli_watch,
    cli_workload,
    logs,
    settings,
)
from primus_lens.assembly import Role
from primus_lens.model import errors
from primus_lens.routes import connections

log = logging.getLogger(__name__)

_DRAIN_S = 15  # how long requests in progress may take once the service is told to stop
_KEEP_ALIVE_S = 75  # longer than senders pause, so that they seldom meet a closing connection
_UNASKED_BYTES = 64 << 10  # a thousand connections with full buffers are 64 MiB, not 256
_OTHER_FILES = 256  # PostgreSQL's connections, logs, the interpreter's own


@click.group()
@click.version_option(primus_lens.__version__)
def main() -> None:
    """Primus Lens: what every training job of a fleet logs to Weights & Biases."""


for group in (cli_db.db, cli_token.token, cli_workload.pods, cli_workload.workload):
    main.add_command(group)
for command in (cli_read.runs, cli_read.curve, cli_read.export, cli_read.tail):
    main.add_command(command)
main.add_command(cli_import.import_runs)
main.add_command(cli_watch.watch)


cli_db.db.add_command(cli_grafana.grafana_role)


@main.command()
@click.option("--config", type=click.Path(path_type=Path), help="The configuration file (YAML).")
@click.option("--role", type=click.Choice(["processor", "api", "all"]), default="all")
@click.option("--host", help="Address to listen on. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0: any. [default: 8080]")
@click.option("--data-dir", help="Where the embedded PostgreSQL keeps its data.")
@click.option("--insecure", is_flag=True, help="Let other machines in without tokens.")
def serve(
    config: Path | None,
    role: Role,
    host: str | None,
    port: int | None,
    data_dir: str | None,
    *,
    insecure: bool,
) -> None:
    """Run the service until it is told to stop."""
    with cli_local.refusals_in_words():
        chosen = _with_options(settings.load(config), host, port, data_dir)
        logs.configure(chosen.log.level)
        with (
            contextlib.closing(_listen(chosen.server)) as listening,
            asyncio.Runner(loop_factory=_loop_factory()) as runner,
        ):
            make_token = cli_token.advice(config, data_dir)
            application = assembly.running(chosen, role, insecure=insecure, make_token=make_token)
            runner.run(_serve(application, role, listening, _within_files(chosen.limits)))


def _with_options(
    chosen: settings.Settings, host: str | None, port: int | None, data_dir: str | None
) -> settings.Settings:
    """The settings with what the command line says instead."""
    server = {"host": host, "port": port}
    given = {name: value for name, value in server.items() if value is not None}
    database = {"data_directory": data_dir} if data_dir else {}
    return msgspec.structs.replace(
        chosen,
        server=msgspec.structs.replace(chosen.server, **given),
        database=msgspec.structs.replace(chosen.database, **database),
    )


def _listen(server: settings.ServerSettings) -> socket.socket:
    is_v6 = ":" in server.host
    try:
        listening = socket.create_server(
            (server.host, server.port),
            family=socket.AF_INET6 if is_v6 else socket.AF_INET,
            backlog=2048,
            reuse_port=False,
            dualstack_ipv6=server.host == "::" and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        where = f"[{server.host}]" if is_v6 else server.host
        number = error.errno or 0  # less than 0: the name could not be resolved
        reason = os.strerror(number) if number > 0 else "this machine has no such address"
        raise errors.ConfigError(
            f"cannot listen on {where}:{server.port}: {reason}; "
            "choose another with --host and --port"
        ) from error
    # Connections inherit it: so much may come before one is asked whether there is room.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UNASKED_BYTES)
    return listening


def _within_files(limits: settings.LimitSettings) -> settings.LimitSettings:
    """The limits with no more connections than the system gives this process open files."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most == resource.RLIM_INFINITY:
        return limits
    there_is = max(1, min(limits.connections, most - _OTHER_FILES))
    return msgspec.structs.replace(limits, connections=there_is)


async def _serve(
    application: AbstractAsyncContextManager[FastAPI],
    role: Role,
    listening: socket.socket,
    limits: settings.LimitSettings,
) -> None:
    stopping = _Stopping()
    stopping.watch()
    with contextlib.suppress(asyncio.CancelledError):
        async with application as app:
            server = _Server(
                uvicorn.Config(
                    app,
                    http=connections.bounded(limits),
                    ws="none",
                    access_log=False,
                    log_config=None,
                    server_header=False,
                    timeout_keep_alive=_KEEP_ALIVE_S,
                    timeout_graceful_shutdown=_DRAIN_S,
                ),
                app.state.draining,
            )
            stopping.server = server
            host, port = listening.getsockname()[:2]
            where = f"[{host}]" if ":" in host else host
            click.echo(f"Primus Lens is serving http://{where}:{port} (role {role})")
            await server.serve(sockets=[listening])


class _Server(uvicorn.Server):
    """uvicorn without its signal handling, which would end the process before PostgreSQL stops.

    draining: set when it begins to stop.
    """

    def __init__(self, config: uvicorn.Config, draining: asyncio.Event) -> None:
        super().__init__(config)
        self._draining = draining

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Requests in progress are waited for; live streams would never end by themselves."""
        self._draining.set()
        await super().shutdown(sockets)


class _Stopping:
    """SIGINT and SIGTERM: drain; a second one: drop what is in progress."""

    def __init__(self) -> None:
        self.server: uvicorn.Server | None = None
        self._task = asyncio.current_task()

    def watch(self) -> None:
        """Begin to listen for signals. Needs a running loop."""
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._stop)

    def _stop(self) -> None:
        if self.server is None:
            if self._task is not None:
                self._task.cancel()
        elif self.server.should_exit:
            self.server.force_exit = True
        else:
            self.server.should_exit = True


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    """Uvloop where there is one."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.Loop
