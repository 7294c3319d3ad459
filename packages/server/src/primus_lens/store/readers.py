"""Roles of PostgreSQL that may read the views of lens_api and nothing else."""

import asyncpg

from primus_lens.model import errors
from primus_lens.store import statements

_SQL = statements.load("readers.sql")


async def allow(connection: asyncpg.Connection, name: str, password: str) -> bool:
    """Let a role read the views; it is made when there is none. Returns whether it was.

    A role that exists keeps its password and its settings. Raises ConfigError where the account of
    the server may not make roles.
    """
    async with connection.transaction():
        exists = await connection.fetchval(_SQL["role_exists"], name)
        if not exists:
            if not await connection.fetchval(_SQL["may_make_roles"]):
                raise errors.ConfigError(
                    f"the server's account may not make roles; have an administrator run "
                    f"CREATE ROLE {name} LOGIN PASSWORD '…' and repeat this command"
                )
            await connection.execute(_SQL["make_reader"], name, password)
        await connection.execute(_SQL["grant_reading"], name)
    return not exists


async def may_create(connection: asyncpg.Connection, name: str) -> bool:
    """Whether a role may make tables of its own in the schema public."""
    return bool(await connection.fetchval(_SQL["may_create"], name))
