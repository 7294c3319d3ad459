"""Numbered migrations, each applied once, in order, by one process at a time."""

import hashlib
import logging
import re
from importlib.resources.abc import Traversable

import asyncpg

from primus_lens.model import errors
from primus_lens.store import statements

log = logging.getLogger(__name__)

_SQL = statements.load("migrations.sql")
_DISTRIBUTION = statements.load("distribution.sql")


async def migrate(connection: asyncpg.Connection) -> list[str]:
    """Bring the database up to this version's tables; on a Citus coordinator, spread them.

    Returns the names of the migrations applied now. Raises ConfigError when the database was made
    by a newer version, or a migration it once ran has since been altered.
    """
    async with connection.transaction():
        await connection.execute(_SQL["one_at_a_time"])
        await connection.execute(_SQL["create_schema_migration"])
        done = {
            row["name"]: row["checksum"] for row in await connection.fetch(_SQL["list_applied"])
        }
        files = _files()
        _compare(done, files)
        fresh = [name for name in files if name not in done]
        for name in fresh:
            await connection.execute(files[name].read_text())
            await connection.execute(_SQL["note_applied"], name, _checksum(files[name]))
            log.info("migration applied", extra={"migration": name})
        await connection.execute(_DISTRIBUTION["distribute"])
    return fresh


def _files() -> dict[str, Traversable]:
    found = (statements.SQL_FILES / "migrations").iterdir()
    return {
        file.name: file
        for file in sorted(found, key=lambda file: file.name)
        if re.fullmatch(r"\d{4}_\w+\.sql", file.name)
    }


def _checksum(file: Traversable) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _compare(done: dict[str, str], files: dict[str, Traversable]) -> None:
    for name, checksum in done.items():
        if name not in files:
            raise errors.ConfigError(
                f"the database holds migration {name}, which this version does not know; "
                "it was made by a newer Primus Lens, so run that version or restore a backup"
            )
        if _checksum(files[name]) != checksum:
            raise errors.ConfigError(
                f"migration {name} was altered after it had been applied to this database"
            )
