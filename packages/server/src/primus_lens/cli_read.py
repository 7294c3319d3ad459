"""The commands that show what a running server has: runs, curve, export, tail."""

import contextlib
import datetime as dt
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import click
from rich.console import Console
from rich.table import Table

from primus_lens import cli_remote, exporting, following, plotting
from primus_lens.client import Axis, Client, Columns

_PIPED_WIDTH = 240  # columns of a table that goes to a file or another program
_COME_BACK_S = 1.0  # after a cut
_POINTS_A_COLUMN = 8  # asked of the server for one column of a plot


@click.command()
@click.option("--q", default="", help="Text sought in workload, run name, project and framework.")
@cli_remote.asks_a_server
def runs(client: Client, *, q: str) -> None:
    """List workloads, the most recently heard first."""
    table = Table("workload", "name", "project", "framework", "state", box=None, pad_edge=False)
    for heading in ("runs", "last step"):
        table.add_column(heading, justify="right")
    table.add_column("last heard")
    table.add_column("last values")
    found = client.workloads(q)
    for each in found:
        values = each["last_values"].items()
        table.add_row(
            _plain(each["workload_uid"]),
            *(_plain(each[field] or "") for field in ("name", "project", "framework", "state")),
            str(each["runs"]),
            str(each["last_step"]),
            _ago(time.time() - each["last_seen"] / 1000),
            _plain("  ".join(f"{name}={_short(value)}" for name, value in values)),
        )
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = _PIPED_WIDTH
    console.print(table if found else "no workload has reported anything yet")


@click.command()
@click.argument("uid")
@click.argument("metric")
@click.option("--x", type=click.Choice(["step", "time"]), default="step", help="What to draw over.")
@cli_remote.asks_a_server
def curve(client: Client, *, uid: str, metric: str, x: Axis) -> None:
    """Draw one metric of a workload, a plot a run, with its lowest, highest and last value."""
    known = client.counts(uid)
    if metric not in known:
        has = ", ".join(map(_plain, known)) or "none"
        cli_remote.fail(f"{uid} has no metric {metric}; it has: {has}")
    console = Console()
    width = max(20, min(100, console.width - 14))
    drawn = client.curve(uid, metric, x=x, max_points=_POINTS_A_COLUMN * width)
    for title, points in _of_each_run(drawn, x).items():
        click.echo(f"{_plain(metric)} of run {_plain(title)}")
        axis = [point.at for point in points]
        for line in plotting.drawing(axis, [point.value for point in points], width=width):
            click.echo(line)
        click.echo(f"{x} {_place(x, axis[0])} to {_place(x, axis[-1])}")
        for line in _told(points):
            click.echo(line)


@click.command()
@click.argument("uid")
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "ndjson", "parquet"]),
    default="csv",
    show_default=True,
)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File.")
@cli_remote.asks_a_server
def export(client: Client, *, uid: str, form: exporting.Format, output: Path | None) -> None:
    """Write every point of a workload, a row a point, to a file or to standard output."""
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise click.UsageError("Parquet is no text for a terminal; name a file with -o")
    with _destination(output) as file:
        count = exporting.write(exporting.tables(client, uid), form, file)
    click.echo(f"{count:,} points of {_plain(uid)}" + (f" in {output}" if output else ""), err=True)


@click.command()
@click.argument("uid")
@click.argument("metrics", nargs=-1)
@click.option("-n", "first", default=10, show_default=True, help="Points to begin with.")
@cli_remote.asks_a_server
def tail(client: Client, *, uid: str, metrics: tuple[str, ...], first: int) -> None:
    """Show new points as they arrive, until Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt):
        for row in following.follow(
            client, uid, *metrics, first=first, pause=lambda: time.sleep(_COME_BACK_S)
        ):
            at = dt.datetime.fromtimestamp(row.time, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            words = (at, row.run_id, f"step {row.step}", f"{row.metric} = {row.value!r}")
            click.echo("  ".join(map(_plain, words)))


@contextlib.contextmanager
def _destination(output: Path | None) -> Iterator[BinaryIO]:
    """The file to write, which gets its name when it is whole; standard output without one."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    unfinished = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with unfinished.open("xb") as file:
            yield file
        unfinished.replace(output)
    finally:
        unfinished.unlink(missing_ok=True)


class _Drawn(NamedTuple):
    """A point of a plot. at: its place on the axis."""

    at: float
    step: int
    value: float


def _of_each_run(table: Columns, x: Axis) -> dict[str, list[_Drawn]]:
    """The points of each run and source, by a title for people."""
    found: dict[str, list[_Drawn]] = {}
    keys = zip(table["run_id"], table["serial"], table["data_source"], strict=True)
    places: Sequence[float] = table["step"] if x == "step" else table["time"]
    points = map(_Drawn, places, table["step"], table["value"])
    for (run_id, serial, source), point in zip(keys, points, strict=True):
        title = f"{run_id or '(unnamed)'} ({source}, serial {serial})"
        found.setdefault(title, []).append(point)
    return found


def _told(points: list[_Drawn]) -> Iterator[str]:
    finite = [point for point in points if math.isfinite(point.value)]
    if finite:
        lowest = min(finite, key=lambda point: point.value)
        highest = max(finite, key=lambda point: point.value)
        yield f"min  {lowest.value!r} at step {lowest.step}"
        yield f"max  {highest.value!r} at step {highest.step}"
    yield f"last {points[-1].value!r} at step {points[-1].step}"
    if len(finite) < len(points):
        yield "some values are NaN or infinite"


def _place(x: Axis, at: float) -> str:
    if x == "step":
        return str(int(at))
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _plain(text: str) -> str:
    """A text of a job's without what would steer the terminal."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _ago(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{max(0, int(seconds))} s ago"
