"""The server's copy of the tokens: how fresh it is and what it costs."""

import asyncio
import time

import pytest

from primus_lens.model.errors import StoreUnavailable
from primus_lens.store import tokens
from primus_lens.store.database import Database
from primus_lens.store.tokens import TokenBook


class Counted(Database):
    """A database that counts how often it is read."""

    reads = 0

    async def fetch(self, *words):
        """Count, and read."""
        self.reads += 1
        return await super().fetch(*words)


@pytest.fixture
def with_database(database_dsn):
    """Run some work on an open database."""

    def run(work):
        async def done():
            database = Counted(database_dsn)
            await database.open(migrate=False)
            try:
                return await work(database)
            finally:
                await database.close()

        return asyncio.run(done())

    return run


async def created(database, **more):
    """The id of a new token."""
    text = await tokens.create(database, scopes={"read"}, now=time.time(), **more)
    return text.split("_")[1]


def test_strangers_cost_one_read_however_many_they_are(with_database):
    """Tokens nobody knows, shown all at once, are looked up together."""

    async def work(database):
        book = TokenBook(database)
        found = await asyncio.gather(*(book.find(f"stranger{i}") for i in range(200)))
        assert set(found) == {None}
        return database.reads

    assert with_database(work) == 1


def test_known_token_is_read_again_when_it_is_five_seconds_old(with_database):
    """Within five seconds a token costs no read; after them it costs one."""

    async def work(database):
        now = [100.0]
        known = await created(database)
        book = TokenBook(database, clock=lambda: now[0])
        reads = []
        for passed in (0, 4.9, 0.2, 4.9):
            now[0] += passed
            assert (await book.find(known)).id == known
            reads.append(database.reads - 1)  # one was spent to make the token
        return reads

    assert with_database(work) == [1, 1, 2, 2]


def test_lost_database_knows_no_token(with_database):
    """When the copy is too old and cannot be read again nobody is let in."""

    async def work(database):
        now = [100.0]
        known = await created(database)
        book = TokenBook(database, clock=lambda: now[0])
        assert await book.find(known)
        await database.close()
        assert await book.find(known)
        now[0] += 5.1
        with pytest.raises(StoreUnavailable, match="not open"):
            await book.find(known)

    with_database(work)


def test_lost_database_does_not_keep_a_known_token_out(with_database):
    """A date that cannot be written is no reason to refuse."""

    async def work(database):
        known = await created(database)
        book = TokenBook(database)
        token = await book.find(known)
        await database.close()
        await book.note_used(token, now=time.time())

    with_database(work)


def test_revoking_twice_keeps_the_first_time(with_database):
    """When a token ended does not change by ending it again."""

    async def work(database):
        known = await created(database)
        assert await tokens.revoke(database, known, now=1.0)
        assert await tokens.revoke(database, known, now=2.0)
        assert not await tokens.revoke(database, "nobody", now=1.0)
        [token] = await tokens.listed(database)
        return token.revoked_at

    assert with_database(work) == 1.0
