"""The command `primus-lens db grafana-role`: a role of PostgreSQL for Grafana's own data source."""

import secrets
import sys
from pathlib import Path

import click

from primus_lens import cli_local
from primus_lens.store import readers
from primus_lens.store.database import Database


@click.command("grafana-role")
@cli_local.on_a_database
@click.option("--name", default="grafana", show_default=True, help="The role's name.")
@click.option(
    "--password-stdin", is_flag=True, help="Read the password from a line of the standard input."
)
def grafana_role(
    config: Path | None, data_dir: str | None, name: str, *, password_stdin: bool
) -> None:
    """Make a role that may read the views and nothing else, and print its password once.

    Repeated for a role that exists, it grants what a newer version added.
    """
    password = sys.stdin.readline().rstrip("\n") if password_stdin else secrets.token_urlsafe(24)

    async def allow(database: Database) -> tuple[bool, bool]:
        async with database.connection() as connection:
            made = await readers.allow(connection, name, password)
            return made, await readers.may_create(connection, name)

    with cli_local.refusals_in_words():
        made, may_create = cli_local.done_on(config, data_dir, allow)
        if not made:
            click.echo(f"The role {name} was there; it may read the views.", err=True)
        elif not password_stdin:
            click.echo("Keep it now, it is not shown again:", err=True)
            click.echo(password)  # alone on stdout, for $(...)
        if may_create:
            click.echo(
                f"The role {name} may still make tables of its own, as everybody could before "
                "PostgreSQL 15; to end that: REVOKE CREATE ON SCHEMA public FROM PUBLIC",
                err=True,
            )
