"""The command `primus-lens watch --replay`, on the database `serve` would use."""

import datetime as dt
import json
import sys
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table

from primus_lens import cli_local, settings
from primus_lens.model import errors
from primus_lens.store import watch as stored
from primus_lens.store.database import Database
from primus_lens.watch import limits
from primus_lens.watch.replay import Replay, replay

_PIPED_WIDTH = 200  # columns of a table that goes to a file or another program


@click.command()
@click.option("--replay", "uid", required=True, metavar="UID", help="The workload.")
@click.option(
    "--set",
    "own",
    multiple=True,
    metavar="THRESHOLD=VALUE",
    help="Another threshold, as loss_spike.k=6; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="A list of what would have been said.")
@cli_local.on_a_database
def watch(
    uid: str, own: tuple[str, ...], config: Path | None, data_dir: str | None, *, as_json: bool
) -> None:
    """Show what the watch would have said of a workload's history, and when."""
    with cli_local.refusals_in_words():
        server = settings.load(config).watch
        asked = limits.parsed(list(own))

        async def work(database: Database) -> Replay:
            async with database.connection() as connection:
                saved = (await stored.setting(connection, uid)).thresholds
                chosen = limits.with_own(limits.with_own(server, saved), asked)
                return await replay(connection, uid, chosen)

        found = cli_local.done_on(config, data_dir, work)
        if not found.newest:
            raise errors.ConfigError(f"no workload {uid} has reported anything yet")
    if as_json:
        said = [msgspec.to_builtins(each) for each in found.said]
        click.echo(json.dumps(said, indent=2))
        return
    _print(uid, found)


def _print(uid: str, found: Replay) -> None:
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = _PIPED_WIDTH
    table = Table("time", "run", box=None, pad_edge=False)
    table.add_column("step", justify="right")
    for heading in ("kind", "said", "text"):
        table.add_column(heading)
    for each in found.said:
        at = dt.datetime.fromtimestamp(each.at, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        words = (at, each.run_id, str(each.step), each.finding.kind, each.what, each.finding.text)
        table.add_row(*map(_plain, words))
    if found.said:
        console.print(table)
    alerts = sum(each.what == "opened" for each in found.said)
    passed = sum(each.what == "passed" for each in found.said)
    click.echo(
        f"{_plain(uid)}: {found.rows:,} rows judged, {alerts} alerts, {passed} passing spikes",
        file=sys.stderr,
    )


def _plain(text: str) -> str:
    """A text of a job's without what would steer the terminal."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
