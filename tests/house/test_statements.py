"""Every named SQL statement is one that PostgreSQL understands, and one that is used."""

import asyncio
import re
from pathlib import Path

import asyncpg
import pytest

from primus_lens.store import statements

STORE = Path(__file__).parents[2] / "packages" / "server" / "src" / "primus_lens" / "store"
FILES = sorted(path.name for path in (STORE / "sql").glob("*.sql"))


async def refused(dsn, named):
    """The statements that this database refuses to prepare, with its words."""
    connection = await asyncpg.connect(dsn)
    found = {}
    for name, text in named.items():
        try:
            await connection.prepare(text)
        except asyncpg.PostgresError as error:
            found[name] = str(error)
    await connection.close()
    return found


@pytest.mark.parametrize("file", FILES)
def test_every_statement_fits_the_tables(file, database_dsn):
    """Each statement of a file can be prepared: its tables, columns and types are there."""
    named = statements.load(file)
    assert named
    assert asyncio.run(refused(database_dsn, named)) == {}


@pytest.mark.parametrize("file", FILES)
def test_every_statement_says_what_it_is_for(file):
    """Under each name stands a sentence."""
    for name, text in statements.load(file).items():
        assert re.match(r"-- [A-Z].+", text), f"{file}: {name} has no sentence under its name"


@pytest.mark.parametrize("file", FILES)
def test_every_statement_is_used(file):
    """No statement outlives the code that ran it."""
    code = "\n".join(path.read_text() for path in STORE.glob("*.py"))
    used = set(re.findall(r'_\w*\["(\w+)"\]', code))
    assert set(statements.load(file)) <= used
