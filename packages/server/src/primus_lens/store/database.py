"""The connections to one PostgreSQL, and its errors in our words.

The only place that knows asyncpg's exceptions: a lost connection becomes StoreUnavailable, data
that PostgreSQL refuses becomes DataRefused, anything else is our bug.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import asyncpg

import primus_lens.store.migrate as migrations
from primus_lens.model import errors
from primus_lens.store import statements

log = logging.getLogger(__name__)

_SQL = statements.load("database.sql")

_SESSION = {"application_name": "primus-lens", "timezone": "UTC"}

_UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,  # what the pool raises when a connection died under it
    asyncpg.InternalClientError,  # and the protocol, when it died in the middle of an answer
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.InsufficientResourcesError,  # disk full included: nothing was stored, so try again
    asyncpg.ReadOnlySQLTransactionError,  # a standby after failover
)

_REFUSED = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)


class DataRefused(errors.Rejected):
    """PostgreSQL refused the data of a statement; of a group of requests, one is at fault."""

    code = "data_refused"


class Unreachable(errors.ConfigError):
    """No PostgreSQL answers there, at least not now."""


@contextlib.contextmanager
def _in_our_words() -> Iterator[None]:
    """Raises StoreUnavailable, TookTooLong, DataRefused or Defect for errors of the driver."""
    try:
        yield
    except _REFUSED as error:
        raise DataRefused(f"PostgreSQL refuses this data: {error}") from error
    except asyncpg.QueryCanceledError as error:
        raise errors.TookTooLong(f"PostgreSQL gave up on a statement: {error}") from error
    except _UNREACHABLE as error:
        raise errors.StoreUnavailable(f"the database cannot be reached: {error}") from error
    except asyncpg.PostgresError as error:
        raise errors.Defect(f"PostgreSQL refuses a statement: {error}") from error


@contextlib.asynccontextmanager
async def savepoint(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """A part of a transaction that may fail without the rest. Raises as `connection` does."""
    with _in_our_words():
        async with connection.transaction():
            yield


class Database:
    """A pool of connections to one PostgreSQL, opened late and kept through its restarts.

    dsn: where it is, its password included.
    """

    def __init__(self, dsn: str, *, pool_size: int = 8) -> None:
        self.dsn = dsn
        self._pool_size = pool_size
        self._pool: asyncpg.Pool | None = None

    async def open(self, *, wait_s: float = 60, migrate: bool = True) -> None:
        """Connect, waiting up to wait_s for a PostgreSQL that is still starting, and migrate.

        Raises Unreachable, or ConfigError when it refuses the credentials.
        """
        deadline = asyncio.get_running_loop().time() + wait_s
        while True:
            try:
                self._pool = await asyncpg.create_pool(
                    self.dsn,
                    min_size=1,
                    max_size=self._pool_size,
                    command_timeout=60,
                    server_settings=_SESSION,
                )
                break
            except (asyncpg.InvalidAuthorizationSpecificationError, ValueError) as error:
                raise errors.ConfigError(f"PostgreSQL refuses the connection: {error}") from error
            except asyncpg.InvalidCatalogNameError as error:
                raise errors.ConfigError(f"{error}; create it, or name another database") from error
            except _UNREACHABLE as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise Unreachable(
                        f"PostgreSQL cannot be reached within {wait_s:.0f} s: {error}"
                    ) from error
                log.warning("PostgreSQL is not reachable yet", extra={"reason": str(error)})
                await asyncio.sleep(1)
        if migrate:
            async with self.connection() as connection:
                await migrations.migrate(connection)

    async def close(self) -> None:
        """Give all connections back; bounded, since a hung statement must not hold up an exit."""
        if self._pool is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._pool.close(), timeout=5)
            self._pool.terminate()
            self._pool = None

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection for one piece of work.

        Raises StoreUnavailable, TookTooLong, DataRefused or Defect.
        """
        if self._pool is None:
            raise errors.StoreUnavailable("the database is not open yet")
        with _in_our_words():
            async with self._pool.acquire(timeout=10) as connection:
                yield connection

    async def fetch(self, statement: str, *parameters: Any) -> list[asyncpg.Record]:  # noqa: ANN401
        """All rows of a statement."""
        async with self.connection() as connection:
            rows: list[asyncpg.Record] = await connection.fetch(statement, *parameters)
            return rows

    @contextlib.asynccontextmanager
    async def listening(
        self, channel: str, told: Callable[[str], None]
    ) -> AsyncIterator[asyncio.Event]:
        """A connection of its own that calls `told` with the words of each notification.

        The event is set when the connection is lost. Raises StoreUnavailable.
        """
        lost = asyncio.Event()
        try:
            connection = await asyncpg.connect(self.dsn, timeout=10, server_settings=_SESSION)
        except (*_UNREACHABLE, asyncpg.PostgresError) as error:
            raise errors.StoreUnavailable(f"the database cannot be reached: {error}") from error
        try:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(channel, lambda *given: told(str(given[-1])))
            yield lost
        except (*_UNREACHABLE, asyncpg.PostgresError) as error:
            raise errors.StoreUnavailable(f"the database cannot be reached: {error}") from error
        finally:
            connection.terminate()  # nothing is in progress on it

    async def is_reachable(self) -> bool:
        """Whether a statement gets an answer now."""
        try:
            await self.fetch(_SQL["answer"])
        except errors.LensError:
            return False
        return True
