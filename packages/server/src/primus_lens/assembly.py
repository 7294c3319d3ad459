"""Joins the rooms into a running service and takes them apart again in the right order."""

import asyncio
import contextlib
import functools
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import prometheus_client as prometheus
from fastapi import FastAPI

from primus_lens.ingest import parked
from primus_lens.ingest.evidence import EvidenceIntake
from primus_lens.ingest.intake import Intake
from primus_lens.model import errors
from primus_lens.query import training_metrics
from primus_lens.routes import (
    grafana,
    operations,
    session,
    training_scrape,
    wandb_v1,
    workload_metrics,
)
from primus_lens.routes.application import application
from primus_lens.routes.detections import DetectionEndpoints
from primus_lens.routes.live import LiveEndpoints
from primus_lens.routes.watching import WatchEndpoints
from primus_lens.routes.workload_admin import WorkloadAdmin
from primus_lens.selfmetrics import SelfMetrics
from primus_lens.settings import (
    DatabaseSettings,
    RetentionSettings,
    Settings,
    seconds,
)
from primus_lens.store import changes, embedded_directory, pods, retention
from primus_lens.store.compaction import Compaction
from primus_lens.store.database import Database, Unreachable
from primus_lens.store.embedded import EmbeddedPostgres
from primus_lens.store.tokens import TokenBook
from primus_lens.watch import duty
from primus_lens.web import pages
from primus_lens.workloads.pod_watch import PodWatch

log = logging.getLogger(__name__)

Role = Literal["processor", "api", "all"]
Work = Callable[[], Awaitable[None]]

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_SOCKET_WITHIN_S = 60.0  # how long a PostgreSQL that somebody else just started may take
_FORGET_EVERY_S = 60.0
_SHORTEST_STREAMS_S = 7 * 86_400.0
_REACH_EVERY_S = 5.0
_ATTACH_EVERY_S = 2.0  # how soon points of a new pod appear once the pod is known


@contextlib.asynccontextmanager
async def running(
    settings: Settings, role: Role, *, insecure: bool, make_token: str
) -> AsyncIterator[FastAPI]:
    """The application of a role with everything behind it started; stopped on leaving.

    insecure: let other machines in without tokens. make_token: the command to advise. Set
    app.state.draining when it stops: then the live streams end.
    Raises ConfigError when the machine or the configuration does not allow it.
    """
    async with contextlib.AsyncExitStack() as stack:
        dsn = await _postgres(settings.database, stack)
        # Ingest has connections of its own: slow readers must not keep reports waiting.
        database = await _database(dsn, stack, pool_size=settings.database.pool_size)
        book = await _tokens(settings, database, insecure=insecure, make_token=make_token)
        routers = [operations.router(database.is_reachable)]
        routes, open_routes = [], []
        counters = SelfMetrics()
        draining = asyncio.Event()
        if role in {"processor", "all"}:
            routes += (await _processor(settings, database, counters, stack)).routes()
            await _watch(settings, dsn, counters, stack)
        if role in {"api", "all"}:
            clusters = {
                name: await _data_plane(name, cluster_dsn, stack)
                for name, cluster_dsn in settings.clusters.items()
            }
            own = await _database(dsn, stack, migrate=False)
            clusters[settings.api.cluster] = own
            live = LiveEndpoints(clusters, settings.api.cluster, draining)
            stack.push_async_callback(live.close)
            routers.append(live.router())
            routers.append(DetectionEndpoints(own, settings.limits).router())
            routers.append(grafana.GrafanaEndpoints(own, settings.limits).router())
            routers.append(WatchEndpoints(own, settings.watch, settings.limits).router())
            routers.append(
                workload_metrics.WorkloadMetrics(clusters, settings.api.cluster).router()
            )
            routers.append(WorkloadAdmin(own, settings.limits).router())
            open_routes = [*pages.routes(), *session.routes(book)]
        _serve_self_metrics(settings, counters, database, stack)
        app = application(
            routers=routers,
            routes=routes,
            open_routes=open_routes,
            book=book,
            # Where tokens are asked for, a name that leads here gives nobody anything.
            loopback_only=book is None and settings.server.host in LOOPBACK,
        )
        app.state.draining = draining
        yield app


async def _tokens(
    settings: Settings, database: Database, *, insecure: bool, make_token: str
) -> TokenBook | None:
    """The tokens to ask for, None where none is needed. Raises ConfigError where none exists."""
    beyond = settings.server.host not in LOOPBACK
    if not settings.access.required and (insecure or not beyond):
        return None
    book = TokenBook(database)
    if beyond and not await book.has_working(time.time()):
        raise errors.ConfigError(
            f"{settings.server.host} is reachable from other machines and no token exists; make "
            f"one with `{make_token}`, or say --insecure if the network is trusted"
        )
    return book


@contextlib.asynccontextmanager
async def database_for_command(
    settings: DatabaseSettings, *, migrate: bool = True
) -> AsyncIterator[Database]:
    """The configured database, beside a server that runs or without one.

    An embedded PostgreSQL that a server runs is used through its socket; else it is started for
    the moment.
    """
    async with contextlib.AsyncExitStack() as stack:
        try:
            dsn = await _postgres(settings, stack)
        except embedded_directory.DirectoryInUse:
            dsn = await _dsn_of_running(data_directory(settings).expanduser().resolve())
        yield await _database(dsn, stack, pool_size=2, migrate=migrate)


async def _dsn_of_running(root: Path) -> str:
    deadline = time.monotonic() + _SOCKET_WITHIN_S
    while (socket_directory := embedded_directory.socket_of_running(root)) is None:
        if time.monotonic() > deadline:
            raise errors.ConfigError(
                f"the data directory {root} is in use, but no PostgreSQL has come up in it"
            )
        await asyncio.sleep(0.1)  # its server is starting it
    return embedded_directory.dsn(socket_directory)


async def _postgres(settings: DatabaseSettings, stack: contextlib.AsyncExitStack) -> str:
    """The DSN of the configured PostgreSQL; the embedded one is started."""
    if settings.dsn or settings.host:
        return external_dsn(settings)
    directory = data_directory(settings)
    log.info("starting the embedded PostgreSQL", extra={"directory": directory})
    embedded = EmbeddedPostgres(directory, settings=settings.embedded_settings)
    stack.push_async_callback(embedded.stop)
    return await embedded.start()


def external_dsn(settings: DatabaseSettings) -> str:
    """The DSN of a PostgreSQL of the operator's own, from its parts unless given whole."""
    if settings.dsn:
        return settings.dsn
    account = f"{quote(settings.user, safe='')}:{quote(settings.password, safe='')}"
    where = f"{settings.host}:{settings.port}/{quote(settings.database, safe='')}"
    return f"postgresql://{account}@{where}"


def data_directory(
    settings: DatabaseSettings, environ: Mapping[str, str] = os.environ, *, euid: int | None = None
) -> Path:
    """Where the embedded PostgreSQL keeps its data."""
    if settings.data_directory:
        return Path(settings.data_directory)
    if (os.geteuid() if euid is None else euid) == 0:
        return Path("/var/lib/primus-lens")
    home = environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
    return Path(home) / "primus-lens"


async def _database(
    dsn: str, stack: contextlib.AsyncExitStack, *, pool_size: int = 8, migrate: bool = True
) -> Database:
    database = Database(dsn, pool_size=pool_size)
    stack.push_async_callback(database.close)
    await database.open(migrate=migrate)
    return database


async def _data_plane(name: str, dsn: str, stack: contextlib.AsyncExitStack) -> Database:
    """A further database to read. While it is away its readers get 503, and nobody else notices.

    Raises ConfigError where it is named wrongly.
    """
    database = Database(dsn)
    stack.push_async_callback(database.close)
    try:
        await database.open(wait_s=0, migrate=False)
    except Unreachable:
        _in_background(_reached(name, database), f"reach {name}", stack)
    except errors.ConfigError as error:
        raise errors.ConfigError(f"clusters.{name}: {error.message}") from error
    return database


async def _reached(name: str, database: Database) -> None:
    """Keep trying to reach a data plane until it answers once; then its pool looks after itself."""
    while True:
        try:
            await database.open(wait_s=0, migrate=False)
        except errors.ConfigError as error:
            log.warning("a data plane is away", extra={"cluster": name, "reason": error.message})
            await asyncio.sleep(_REACH_EVERY_S)
        else:
            log.info("a data plane is back", extra={"cluster": name})
            return


async def _processor(
    settings: Settings,
    database: Database,
    counters: SelfMetrics,
    stack: contextlib.AsyncExitStack,
) -> wandb_v1.WandbEndpoints:
    reject = settings.workloads.unknown_pods == "reject"
    intake = Intake(
        database, pending_bytes=settings.limits.pending_bytes, reject_unknown_pods=reject
    )
    intake.start()
    stack.push_async_callback(intake.drain)
    _keep_doing("attach parked reports", _attach_parked(database, counters), stack, _ATTACH_EVERY_S)
    _keep_doing("compaction", _compact(database), stack, settings.compaction.every_s)
    _keep_doing("forget changes", _forget_changes(database), stack, _FORGET_EVERY_S)
    every_s = settings.retention.every_s
    give_up = _give_up(database, _terms(settings.retention), counters)
    # What is parked has its chance to be attached first.
    _keep_doing("retention", give_up, stack, every_s, first_s=every_s)
    if settings.workloads.pod_watch.enabled:
        watch = PodWatch(settings.workloads.pod_watch, functools.partial(pods.put, database))
        _in_background(watch.follow(), "follow pods", stack)
    return wandb_v1.WandbEndpoints(
        intake,
        EvidenceIntake(database, reject_unknown_pods=reject),
        limits=settings.limits,
        enabled=settings.wandb,
        counters=counters,
    )


def _in_background(
    work: Coroutine[None, None, None], name: str, stack: contextlib.AsyncExitStack
) -> None:
    """Begin work that goes on until the stack is left."""
    stack.push_async_callback(_cancelled, asyncio.create_task(work, name=name))


def _keep_doing(
    name: str, work: Work, stack: contextlib.AsyncExitStack, every_s: float, *, first_s: float = 0
) -> None:
    """Do some work again and again until the stack is left, with pauses; the first after first_s.

    No error ends it, not even a bug of ours: the next look may find other data.
    """

    async def keep_doing() -> None:
        await asyncio.sleep(first_s)
        while True:
            try:
                await work()
            except errors.TryLater as error:
                log.warning("work waits", extra={"work": name, "reason": error.message})
            except Exception:
                log.exception("work failed and is tried again", extra={"work": name})
            await asyncio.sleep(every_s)

    _in_background(keep_doing(), name, stack)


async def _watch(
    settings: Settings, dsn: str, counters: SelfMetrics, stack: contextlib.AsyncExitStack
) -> None:
    """The watch over runs, on connections of its own: ingest never waits for it."""
    if not settings.watch.enabled:
        return
    database = await _database(dsn, stack, pool_size=duty.CONNECTIONS, migrate=False)
    _in_background(duty.keep_watch(database, settings.watch, counters), "watch", stack)


def _attach_parked(database: Database, counters: SelfMetrics) -> Work:
    """Look whether the pods of parked reports have been seen."""

    async def attach() -> None:
        while (attached := await parked.attach(database, now=time.time())) != parked.NOTHING:
            log.info("parked reports attached", extra={"reports": attached.reports})
            counters.parked_lost.labels("refused").inc(attached.refused)

    return attach


def _compact(database: Database) -> Work:
    """Pack what has settled."""
    compaction = Compaction(database)

    async def compact() -> None:
        await compaction.sweep(now=time.time())

    return compact


def _forget_changes(database: Database) -> Work:
    """Drop what live readers no longer come back for."""

    async def forget() -> None:
        async with database.connection() as connection:
            await changes.forget(connection, before=time.time() - changes.KEPT_S)

    return forget


def _terms(settings: RetentionSettings) -> retention.Terms:
    """Raises ConfigError for a term that is too short to be meant."""
    terms = retention.Terms(
        *map(seconds, (settings.rows, settings.workloads, settings.parked, settings.streams))
    )
    if terms.streams is not None and terms.streams < _SHORTEST_STREAMS_S:
        raise errors.ConfigError(
            f"retention.streams is {settings.streams}; it must be at least 7d, or empty: what a "
            "job could not deliver for so long would be refused"
        )
    return terms


def _give_up(database: Database, terms: retention.Terms, counters: SelfMetrics) -> Work:
    """Give up what has had its term."""

    async def give_up() -> None:
        gone = await retention.sweep(database, terms, now=time.time())
        counters.parked_lost.labels("expired").inc(gone.parked_reports)
        counters.parked_points_lost.inc(gone.parked_points)

    return give_up


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _serve_self_metrics(
    settings: Settings,
    counters: SelfMetrics,
    database: Database,
    stack: contextlib.AsyncExitStack,
) -> None:
    """Prometheus' own port. A port that is taken is no reason to stop taking reports."""
    wanted = settings.metrics.prometheus
    if not wanted.enabled:
        return
    host = wanted.host or settings.server.host
    try:
        server, thread = prometheus.start_http_server(wanted.port, host, counters.registry)
    except OSError as error:
        log.warning(
            "self-metrics are not served",
            extra={"address": f"{host}:{wanted.port}", "reason": error.strerror},
        )
        return

    async def newest() -> bytes:
        return await training_metrics.exposed(
            database, now=time.time(), most=wanted.training_series
        )

    app = prometheus.make_wsgi_app(counters.registry)
    ask = newest if wanted.training else None
    server.set_app(training_scrape.beside(app, ask, asyncio.get_running_loop()))
    stack.callback(thread.join)
    stack.callback(server.server_close)
    stack.callback(server.shutdown)
