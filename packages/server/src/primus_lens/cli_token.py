"""The commands `primus-lens token create | list | revoke`, on the database `serve` would use."""

import datetime as dt
import re
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

import click

from primus_lens import cli_local
from primus_lens.model import errors, tokens
from primus_lens.model.tokens import ApiToken, Scope
from primus_lens.store import tokens as stored
from primus_lens.store.database import Database

_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}
_LONGEST_S = 100 * 365 * 86_400  # a hundred years: any longer is a slip, and means never


def advice(config: Path | None, data_dir: str | None) -> str:
    """The command that makes a token for a server which was started with these options."""
    words = ["primus-lens", "token", "create", "--scope", "ingest", "--scope", "read"]
    words += ["--config", str(config)] if config else []
    words += ["--data-dir", data_dir] if data_dir else []
    return shlex.join(words)


def _seconds(_: click.Context, __: click.Parameter, given: str | None) -> float | None:
    """A time to come, written as 90d, 12h or 2w, in seconds."""
    if given is None:
        return None
    found = re.fullmatch(r"(\d{1,12})([smhdw])", given)
    seconds = int(found[1]) * _UNIT_S[found[2]] if found else 0
    if not 0 < seconds <= _LONGEST_S:
        raise click.BadParameter(
            f'"{given}" is not a time to come: write a number and s, m, h, d or w, as in 90d'
        )
    return float(seconds)


@click.group()
def token() -> None:
    """Make, list and revoke the tokens of reporters and readers."""


@token.command()
@cli_local.on_a_database
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(tokens.SCOPES),
    help="What it allows; may be repeated. admin includes the others.",
)
@click.option("--name", default="", help="Whose it is, for the list.")
@click.option(
    "--expires", callback=_seconds, metavar="TIME", help="When it stops working, as in 90d. [never]"
)
def create(
    config: Path | None,
    data_dir: str | None,
    scopes: Sequence[Scope],
    name: str,
    expires: float | None,
) -> None:
    """Make a token and print it, this once."""
    now = time.time()
    until = None if expires is None else now + expires

    async def make(database: Database) -> str:
        return await stored.create(
            database, scopes=set(scopes), name=name, now=now, expires_at=until
        )

    with cli_local.refusals_in_words():
        made = cli_local.done_on(config, data_dir, make)
        click.echo("Keep it now, it is not shown again:", err=True)
        click.echo(made)  # alone on stdout, for $(...)


@token.command("list")
@cli_local.on_a_database
def list_tokens(config: Path | None, data_dir: str | None) -> None:
    """Show every token there ever was, never a secret."""
    with cli_local.refusals_in_words():
        found = cli_local.done_on(config, data_dir, stored.listed)
        for line in _table(found, time.time()):
            click.echo(line)


@token.command()
@cli_local.on_a_database
@click.argument("token_id", metavar="ID")
def revoke(config: Path | None, data_dir: str | None, token_id: str) -> None:
    """End a token for good, within 10 s on every running server."""
    parts = tokens.split(token_id)  # who found a token somewhere has it whole
    wanted = parts[0] if parts else token_id

    async def end(database: Database) -> bool:
        return await stored.revoke(database, wanted, now=time.time())

    with cli_local.refusals_in_words():
        if not cli_local.done_on(config, data_dir, end):
            raise errors.ConfigError(f"there is no token {wanted}; see `primus-lens token list`")
        click.echo(f"The token {wanted} is revoked.")


def _table(found: Sequence[ApiToken], now: float) -> list[str]:
    """Lines of aligned columns under their names."""
    rows = [("ID", "STATE", "SCOPES", "CREATED", "EXPIRES", "LAST USED", "NAME")]
    rows += [
        (
            each.id,
            _state(each, now),
            ",".join(scope for scope in tokens.SCOPES if scope in each.scopes),
            _day(each.created_at, "-"),
            _day(each.expires_at, "never"),
            _day(each.last_used_at, "never"),
            each.name,
        )
        for each in found
    ]
    return cli_local.aligned(rows)


def _state(token: ApiToken, now: float) -> str:
    if token.revoked_at is not None:
        return "revoked"
    return "works" if token.works(now) else "expired"


def _day(at: float | None, without: str) -> str:
    """A moment to the minute, UTC."""
    if at is None:
        return without
    return f"{dt.datetime.fromtimestamp(at, dt.UTC):%Y-%m-%d %H:%M}"
