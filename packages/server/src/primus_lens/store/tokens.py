"""api_token: the tokens that were made, and a copy of them for the requests that show one."""

import asyncio
import contextlib
import math
import secrets
import time
from collections.abc import Callable, Collection

from primus_lens.model import errors, tokens
from primus_lens.model.tokens import ApiToken, Scope
from primus_lens.store import statements
from primus_lens.store.database import Database

_SQL = statements.load("tokens.sql")

_FRESH_S = 5.0  # a revoked token stops working within this and the time of one read
_PAUSE_S = 1.0  # the most often the table is read, however many tokens nobody knows are shown
_USE_NOTED_EVERY_S = 60.0


async def create(
    database: Database,
    *,
    scopes: Collection[Scope],
    name: str = "",
    now: float,
    expires_at: float | None = None,
) -> str:
    """Make a token and remember it. Returns its text, which cannot be had again."""
    token_id = "".join(secrets.choice(tokens.ID_ALPHABET) for _ in range(tokens.ID_CHARACTERS))
    secret = secrets.token_hex(tokens.SECRET_BYTES)
    digest = tokens.digest(secret)
    await database.fetch(_SQL["add_token"], token_id, name, sorted(scopes), digest, now, expires_at)
    return tokens.text(token_id, secret)


async def listed(database: Database) -> list[ApiToken]:
    """Every token there ever was, the oldest first."""
    rows = await database.fetch(_SQL["list_tokens"])
    return [ApiToken(**{**dict(row), "scopes": frozenset(row["scopes"])}) for row in rows]


async def revoke(database: Database, token_id: str, *, now: float) -> bool:
    """End a token for good. Returns whether there is such a token."""
    return bool(await database.fetch(_SQL["revoke_token"], token_id, now))


class TokenBook:
    """The tokens as the database has them, read again when one is shown and they are 5 s old.

    The whole table, not a row per request: strangers who show tokens nobody knows then cost one
    read a second in all. clock: monotonic seconds.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._tokens: dict[str, ApiToken] = {}
        self._read_at = -math.inf
        self._reading: asyncio.Task[None] | None = None
        self._noted: dict[str, float] = {}

    async def find(self, token_id: str) -> ApiToken | None:
        """A token by its id. Raises StoreUnavailable when that cannot be known."""
        asked_at = self._clock()
        await self._no_older_than(asked_at - _FRESH_S)
        if token_id not in self._tokens:
            await self._no_older_than(asked_at)  # it may have been made since
        return self._tokens.get(token_id)

    async def has_working(self, now: float) -> bool:
        """Whether there is a token that works. now: Unix seconds."""
        await self._no_older_than(self._clock())
        return any(token.works(now) for token in self._tokens.values())

    async def note_used(self, token: ApiToken, *, now: float) -> None:
        """Remember when a token was last used, at most once a minute. now: Unix seconds."""
        if (
            now - max(self._noted.get(token.id, 0.0), token.last_used_at or 0.0)
            < _USE_NOTED_EVERY_S
        ):
            return
        self._noted[token.id] = now
        with contextlib.suppress(errors.LensError):  # a date is no reason to turn anyone away
            await self._database.fetch(_SQL["note_token_used"], token.id, now)

    async def _no_older_than(self, moment: float) -> None:
        while self._read_at < moment:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._read(), name="read tokens")
                # Whoever waits is told; when all have gone away nobody needs to be.
                self._reading.add_done_callback(lambda task: task.cancelled() or task.exception())
            await asyncio.shield(self._reading)

    async def _read(self) -> None:
        await asyncio.sleep(self._read_at + _PAUSE_S - self._clock())
        began = self._clock()
        self._tokens = {token.id: token for token in await listed(self._database)}
        self._read_at = began
