"""The commands `primus-lens db migrate | check | compact | stats | backup | restore`."""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import click
import msgspec
from rich import filesize
from rich.console import Console
from rich.table import Table

from primus_lens import cli_local
from primus_lens.model import errors
from primus_lens.store import backup as backups
from primus_lens.store import check as checking
from primus_lens.store import migrate as migrations
from primus_lens.store.check import Checked
from primus_lens.store.database import Database

DAMAGED = 1
"""Exit status of `check` when something is not as it should be; 2 is a command that cannot be."""

_SHOWN = 100  # problems that are told one by one

_as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


@click.group()
def db() -> None:
    """Look after the database, beside a running server or without one."""


@db.command()
@cli_local.on_a_database
def migrate(config: Path | None, data_dir: str | None) -> None:
    """Bring the tables up to this version."""

    async def bring(database: Database) -> list[str]:
        async with database.connection() as connection:
            return await migrations.migrate(connection)

    with cli_local.refusals_in_words():
        applied = cli_local.done_on(config, data_dir, bring, migrate=False)
        click.echo("\n".join(f"applied {name}" for name in applied) or "Nothing to do.")


@db.command()
@cli_local.on_a_database
@click.option("--workload", default="", help="Only this one.")
@_as_json
def check(config: Path | None, data_dir: str | None, workload: str, *, as_json: bool) -> None:
    """Compare chunks with rows, point by point; status 1 when something is wrong."""
    with cli_local.refusals_in_words():
        found = cli_local.done_on(
            config, data_dir, lambda database: checking.check(database, workload)
        )
    _tell_check(found, as_json=as_json)
    if found.problems:
        sys.exit(DAMAGED)


def _tell_check(found: Checked, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    for each in found.problems[:_SHOWN]:
        click.echo(f"{each.workload_uid}: {each.place}: {each.what}")
    if len(found.problems) > _SHOWN:
        click.echo(f"and {len(found.problems) - _SHOWN} more")
    waiting = f", {found.waiting} of them wait to be built" if found.waiting else ""
    verdict = f"{len(found.problems)} problems" if found.problems else "all is well"
    click.echo(f"{found.ranges} ranges{waiting}: {verdict}.")


@db.command()
@cli_local.on_a_database
@click.option("--rebuild", is_flag=True, help="Make all chunks anew from their rows.")
def compact(config: Path | None, data_dir: str | None, *, rebuild: bool) -> None:
    """Pack what has settled, and make anew what is damaged."""

    async def work(database: Database) -> tuple[int, Checked]:
        now = time.time()
        if rebuild:
            built = await checking.rebuild_all(database, now=now)
            return built, await checking.check(database)
        built = await checking.pack(database, now=now)
        found = await checking.check(database)
        if found.problems:
            built += await checking.mend(database, found, now=now)
            found = await checking.check(database)
        return built, found

    with cli_local.refusals_in_words():
        built, found = cli_local.done_on(config, data_dir, work)
    click.echo(f"{built} ranges built.")
    _tell_check(found, as_json=False)
    if found.problems:
        sys.exit(DAMAGED)


@db.command()
@cli_local.on_a_database
@_as_json
def stats(config: Path | None, data_dir: str | None, *, as_json: bool) -> None:
    """Show how much is stored and what it takes."""
    with cli_local.refusals_in_words():
        found = cli_local.done_on(config, data_dir, checking.statistics)
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    console = Console()
    console.print(_sizes(found))
    console.print(_amounts(found))


def _sizes(found: dict[str, Any]) -> Table:
    table = Table("table", title=f"{filesize.decimal(found['bytes'])} on disk")
    for name in ("rows", "table", "indexes"):
        table.add_column(name, justify="right")
    for each in found["tables"]:
        sizes = filesize.decimal(each["table_bytes"]), filesize.decimal(each["index_bytes"])
        table.add_row(each["name"], f"{each['rows']:,}", *sizes)
    return table


def _amounts(found: dict[str, Any]) -> Table:
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, amount in found.items():
        if name not in {"tables", "bytes"}:
            table.add_row(name.replace("_", " "), "-" if amount is None else f"{amount:,}")
    return table


@db.command()
@cli_local.on_a_database
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def backup(config: Path | None, data_dir: str | None, file: Path) -> None:
    """Write everything to FILE, as of one moment; a server may go on."""
    with cli_local.refusals_in_words():
        size = cli_local.done_on(
            config, data_dir, lambda database: asyncio.to_thread(backups.backup, database.dsn, file)
        )
        click.echo(f"{file}: {filesize.decimal(size)}, read back.")


@db.command()
@cli_local.on_a_database
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def restore(config: Path | None, data_dir: str | None, file: Path) -> None:
    """Read a backup into a database that is empty, and check it."""

    async def read(database: Database) -> Checked:
        if not await checking.is_empty(database):
            raise errors.ConfigError(
                "the database holds tables already; restore into an empty one, "
                "with another --data-dir or database.database"
            )
        await asyncio.to_thread(backups.restore, database.dsn, file)
        async with database.connection() as connection:
            await migrations.migrate(connection)
        return await checking.check(database)

    with cli_local.refusals_in_words():
        found = cli_local.done_on(config, data_dir, read, migrate=False)
    _tell_check(found, as_json=False)
    if found.problems:
        sys.exit(DAMAGED)
