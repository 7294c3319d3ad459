"""The command `primus-lens import`: runs that were recorded elsewhere, sent to a running server."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from primus_lens import cli_remote
from primus_lens.client import Client
from primus_lens.importing import finding
from primus_lens.importing.delivery import Delivery
from primus_lens.importing.finding import Kind
from primus_lens.importing.records import ImportFailed, Source


@click.command("import")
@click.argument("kind", type=click.Choice(["wandb", "tfevents", "csv"]))
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--workload", required=True, metavar="UID", help="The workload the runs belong to.")
@click.option("--run-id", help="Name of the run (tfevents, csv). [default: its folder, or file]")
@click.option("--step-column", help="Which column of a CSV file holds the step.")
@click.option("--time-column", help="Which column of a CSV file holds the time.")
@cli_remote.asks_a_server
def import_runs(
    client: Client,
    *,
    kind: Kind,
    paths: tuple[Path, ...],
    workload: str,
    run_id: str | None,
    step_column: str | None,
    time_column: str | None,
) -> None:
    """Import existing runs: offline .wandb files, TensorBoard event files, or CSV.

    PATHS are files, or directories to search. Importing again changes nothing; an import that was
    cut off goes on where it stopped.
    """
    names = {"run_id": run_id, "step_column": step_column, "time_column": time_column}
    delivery = Delivery(client.connection, workload)
    failed = False
    try:
        files = list(finding.found(kind, paths))
        with _progress() as progress:
            for root, path in files:
                try:
                    for source in finding.sources(kind, root, path, **names):
                        _follow(progress, delivery, source)
                except ImportFailed as error:  # the other files may be well
                    click.echo(f"primus-lens: {error.message}", err=True)
                    failed = True
    except ImportFailed as error:
        cli_remote.fail(error.message)
    except KeyboardInterrupt:
        click.echo("interrupted; the same command goes on where it stopped", err=True)
        sys.exit(cli_remote.INTERRUPTED)
    if failed:
        sys.exit(cli_remote.FAILED)


def _progress() -> Progress:
    """A bar on stderr; nothing where stderr is no terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[points]:,} points, {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _follow(progress: Progress, delivery: Delivery, source: Source) -> None:
    """Deliver a source, show how it goes, and say on stdout what became of it."""
    task = progress.add_task(source.run_id, total=source.account.size_bytes, points=0, rate=0.0)
    points = known = 0
    started = time.monotonic()
    for done in delivery.deliver(source):
        points += done.points
        known += done.known
        rate = points / (time.monotonic() - started)
        progress.update(task, completed=source.account.position, points=points, rate=rate)
    progress.remove_task(task)
    told = f", {known:,} of them known already" if known else ""
    click.echo(f"{source.run_id}: {points:,} points from {source.path}{told}")
    for sentence in _losses(source):
        click.echo(f"primus-lens: {source.path}: {sentence}", err=True)


def _losses(source: Source) -> Iterator[str]:
    account = source.account
    if account.damaged:
        yield f"{account.damaged:,} damaged part(s) could not be read"
    if account.refused:
        yield f"{account.refused:,} point(s) left out: no step, or a name the server does not take"
