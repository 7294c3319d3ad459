"""The commands that show what a running server has: runs, curve, export, tail."""

import contextlib
import datetime as dt
import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

import click
from rich import filesize
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from primus_lens import cli_remote, exporting, following, plotting
from primus_lens.client import Client, Format, Layout, PointsFile

_PIPED_WIDTH = 240  # columns of a table that goes to a file or another program
_WIDE = 140  # columns of a terminal that has room for all of a workload
_ALWAYS = ("workload", "name", "state", "progress", "steps/s", "last step", "last heard")
_NUMBERS = ("progress", "steps/s", "remaining", "runs", "last step")
_LONG_INTEGER = 10**12  # from here on a table shows six digits
_COME_BACK_S = 1.0  # after a cut
_POINTS_A_COLUMN = 8  # asked of the server for one column of a plot


@click.command()
@click.option("--q", default="", help="Text sought in workload, run name, project and framework.")
@click.option("--state", multiple=True, help="Only these, such as stalled; may be repeated.")
@cli_remote.asks_a_server
def runs(client: Client, *, q: str, state: tuple[str, ...]) -> None:
    """List workloads, the most recently heard first."""
    found = client.workloads(q, state=state)
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = _PIPED_WIDTH
    if not found:
        asked = q or state
        console.print(
            "no workload is like that" if asked else "no workload has reported anything yet"
        )
        return
    table = Table(box=None, pad_edge=False)
    cells = [_cells(each) for each in found]
    for heading in cells[0]:
        needed = heading in _ALWAYS or console.width >= _WIDE
        column = [row[heading] for row in cells]
        if needed and any(column):
            right = heading in _NUMBERS
            table.add_column(heading, justify="right" if right else "left", no_wrap=right)
    headings = [str(column.header) for column in table.columns]
    for row in cells:
        table.add_row(*(row[heading] for heading in headings))
    console.print(table)


@click.command()
@click.argument("uid")
@click.argument("metric")
@click.option("--x", default="step", show_default=True, help="step, time or the name of a metric.")
@click.option("--beside", multiple=True, metavar="UID", help="One more workload; repeatable.")
@cli_remote.asks_a_server
def curve(client: Client, *, uid: str, metric: str, x: str, beside: tuple[str, ...]) -> None:
    """Draw one metric of workloads, a plot a run, with its lowest, highest and last value."""
    uids = list(dict.fromkeys((uid, *beside)))
    for each in uids:
        _check_known(client, each, metric, x)
    width = max(20, min(100, Console().width - 14))
    drawn = client.series(uids, metric, x=x, max_points=_POINTS_A_COLUMN * width)
    for series in drawn:
        points = _points(series, x)
        if not points:
            continue
        click.echo(_plain(f"{metric} of run {_title(series, tell_workload=bool(beside))}"))
        axis = [point.at for point in points]
        for line in plotting.drawing(axis, [point.value for point in points], width=width):
            click.echo(line)
        click.echo(f"{_plain(x)} {_place(x, axis[0])} to {_place(x, axis[-1])}")
        for line in _told(points):
            click.echo(line)
    if not any(series["step"] for series in drawn):
        cli_remote.fail(f"no step has both {metric} and {x}")


@click.command()
@click.argument("uid")
@click.argument("metrics", nargs=-1)
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "ndjson", "parquet"]),
    default="csv",
    show_default=True,
)
@click.option(
    "--layout",
    type=click.Choice(["long", "wide"]),
    default="long",
    show_default=True,
    help="A row a point, or a row a step with a column a metric.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="File; standard output without it or with -.",
)
@cli_remote.asks_a_server
def export(
    client: Client,
    *,
    uid: str,
    metrics: tuple[str, ...],
    form: Format,
    layout: Layout,
    output: Path | None,
) -> None:
    """Write every point of a workload, or of some of its metrics, as one file."""
    if output == Path("-"):
        output = None
    on_terminal = output is None and sys.stdout.isatty()
    if form == "parquet" and on_terminal:
        raise click.UsageError("Parquet is no text for a terminal; name a file with -o")
    counts = client.counts(uid)
    if not counts:
        client.workload(uid)  # refuses one that nobody has heard of
    if absent := [name for name in metrics if name not in counts]:
        _fail_unknown(uid, absent[0], counts)
    with contextlib.ExitStack() as opened:
        coming = opened.enter_context(client.file(uid, *metrics, form=form, layout=layout))
        to = sys.stdout.buffer if output is None else opened.enter_context(exporting.whole(output))
        rows = _shown_writing(coming, to, counted=layout == "long", shown=not on_terminal)
        to.flush()
    unit = "points" if layout == "long" else "steps"
    what = "every point" if form == "parquet" else f"{rows:,} {unit}"
    click.echo(f"{what} of {_plain(uid)}" + (f" in {output}" if output else ""), err=True)


def _shown_writing(coming: PointsFile, to: BinaryIO, *, counted: bool, shown: bool) -> int:
    """Write a file with a bar on a terminal's standard error. Returns its rows.

    counted: a row is a point, so that the bar knows how far it is.
    """
    counted = counted and coming.form != "parquet"
    console = Console(stderr=True)
    points = "" if coming.total is None else f"{coming.total:,} points"
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[size]}"),
        TimeElapsedColumn(),
        console=console,
        disable=not (shown and console.is_terminal),
        transient=True,
    )
    found = 0
    with bar:
        task = bar.add_task(points, total=coming.total if counted else None, size="")

        def told(rows: int, size: int) -> None:
            nonlocal found
            found = rows
            bar.update(task, completed=rows, size=filesize.decimal(size))

        exporting.write(coming, to, told)
    return found


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


def _cells(workload: Mapping[str, Any]) -> dict[str, str]:
    """What a table says of a workload, by heading."""
    values = workload["last_values"].items()
    progress, rate, eta_s = (workload[field] for field in ("progress", "step_rate", "eta_s"))
    return {
        "workload": _plain(workload["workload_uid"]),
        **{
            field: _plain(workload[field] or "")
            for field in ("name", "project", "framework", "state")
        },
        "progress": "" if progress is None else f"{progress:.0%}",
        "steps/s": "" if rate is None else f"{rate:.3g}",
        "remaining": "" if eta_s is None else _lasting(eta_s),
        "runs": str(workload["runs"]),
        "last step": "" if workload["last_step"] is None else str(workload["last_step"]),
        "last heard": f"{_lasting(time.time() - workload['last_seen'] / 1000)} ago",
        "loss": plotting.sparkline(workload["sparkline"]),
        "last values": _plain("  ".join(f"{name}={_short(value)}" for name, value in values)),
        "alerts": " ".join(dict.fromkeys(alert["kind"] for alert in workload["alerts"])),
    }


class _Drawn(NamedTuple):
    """A point of a plot. at: its place on the axis."""

    at: float
    step: int
    value: float


def _points(series: Mapping[str, Any], x: str) -> list[_Drawn]:
    """The points of a series in the order of the axis."""
    axes = {"step": series["step"], "time": [at / 1000 for at in series["time"]]}
    places = axes[x] if x in axes else series["x"]
    return list(map(_Drawn, places, series["step"], series["value"]))


def _title(series: Mapping[str, Any], *, tell_workload: bool) -> str:
    run = series["run_id"] or "(unnamed)"
    title = f"{run} ({series['data_source']}, serial {series['serial']})"
    return f"{title} of {series['workload_uid']}" if tell_workload else title


def _check_known(client: Client, uid: str, *names: str) -> None:
    """End the command where a workload lacks a metric; step and time are none."""
    known = client.counts(uid)
    for name in names:
        if name not in known and name not in {"step", "time"}:
            _fail_unknown(uid, name, known)


def _fail_unknown(uid: str, metric: str, known: Iterable[str]) -> NoReturn:
    has = ", ".join(map(_plain, known)) or "none"
    cli_remote.fail(f"{uid} has no metric {metric}; it has: {has}")


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


def _place(x: str, at: float) -> str:
    if x == "step":
        return str(int(at))
    if x != "time":
        return f"{at:.6g}"
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _plain(text: str) -> str:
    """A text of a job's without what would steer the terminal."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def _short(value: object) -> str:
    is_long = isinstance(value, int) and abs(value) >= _LONG_INTEGER
    return f"{value:.6g}" if isinstance(value, float) or is_long else str(value)


def _lasting(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"
