"""`primus-lens runs | curve | export | tail`, as processes of their own."""

import io
import json
import os
import pty
import signal
import subprocess
import sys

import pandas as pd
import pyarrow.parquet
import pytest

from primus_lens import cli_read, exporting, following, plotting
from primus_lens.client import Client

AT = 1_700_000_000.5


def test_runs_are_listed(lens_command, two_runs):
    """A line a workload: its uid, runs, last step and last values."""
    done = lens_command("runs", "--q", two_runs)
    heading, line = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert heading.startswith("workload ")
    assert line.startswith(two_runs)
    assert "loss=" in line


def test_no_run_is_told(lens_command):
    """Nothing found is said."""
    done = lens_command("runs", "--q", "no workload is called so")
    assert done.stdout.strip() == "no workload has reported anything yet"


def test_curve_is_drawn(lens_command, two_runs):
    """A plot a run, with its lowest, highest and last value."""
    done = lens_command("curve", two_runs, "loss")
    assert done.returncode == 0
    assert "loss of run one (wandb, serial 1)" in done.stdout
    assert "min  0.0 at step 0" in done.stdout
    assert "max  2.0 at step 2" in done.stdout
    assert "last 2.0 at step 2" in done.stdout
    assert "last -inf at step 1" in done.stdout
    assert done.stdout.count("some values are NaN or infinite") == 2
    assert "█" in done.stdout


def test_curve_over_time(lens_command, two_runs):
    """`--x time` draws over the clock."""
    done = lens_command("curve", two_runs, "loss", "--x", "time")
    assert "time 2023-11-14T22:13:20Z to 2023-11-14T22:13:22Z" in done.stdout


def test_metric_that_is_unknown_is_told(lens_command, two_runs):
    """A metric that is not there ends the command with those that are."""
    done = lens_command("curve", two_runs, "acc")
    assert done.returncode == 1
    assert done.stderr == f"primus-lens: {two_runs} has no metric acc; it has: big, loss\n"


@pytest.mark.parametrize("words", [("runs",), ("curve", "u", "m"), ("export", "u"), ("tail", "u")])
def test_server_that_is_not_there_is_told(lens_command, free_ports, words):
    """Without a server each command ends with a sentence and status 1."""
    done = lens_command(*words, url=f"http://127.0.0.1:{free_ports()}")
    assert done.returncode == 1
    assert done.stderr.startswith("primus-lens: http://127.0.0.1:")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [("export", "nobody"), ("tail", "nobody")])
def test_workload_that_is_unknown_is_told(lens_command, words):
    """A workload that nobody has heard of ends the command in the server's words."""
    done = lens_command(*words)
    assert done.returncode == 1
    assert done.stderr == "primus-lens: no workload nobody has reported anything yet\n"


def test_export_as_csv(lens_command, two_runs):
    """A line a point; integers keep their digits, NaN and infinities their names."""
    done = lens_command("export", two_runs)
    assert done.stdout.splitlines() == [
        "workload_uid,run_id,serial,data_source,metric,step,time,value",
        f"{two_runs},one,1,wandb,big,0,{AT},{2**53 + 1}",
        f"{two_runs},one,1,wandb,loss,0,{AT},0.0",
        f"{two_runs},one,1,wandb,loss,1,{AT + 1},NaN",
        f"{two_runs},one,1,wandb,loss,2,{AT + 2},2.0",
        f"{two_runs},two,2,wandb,loss,1,{AT + 10},-Infinity",
    ]
    assert done.stderr == f"5 points of {two_runs}\n"
    assert len(pd.read_csv(io.StringIO(done.stdout))) == 5


def test_export_as_ndjson(lens_command, two_runs):
    """A JSON object a point."""
    done = lens_command("export", two_runs, "--format", "ndjson")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["value"] for row in rows] == [2**53 + 1, 0.0, "NaN", 2.0, "-Infinity"]
    assert rows[0]["run_id"] == "one"


def test_export_as_parquet(lens_command, two_runs, tmp_path):
    """A Parquet file with int64 and float64 columns; it gets its name when it is whole."""
    path = tmp_path / "points.parquet"
    done = lens_command("export", two_runs, "--format", "parquet", "-o", str(path))
    assert done.stderr == f"5 points of {two_runs} in {path}\n"
    assert [each.name for each in tmp_path.iterdir()] == ["points.parquet"]
    table = pyarrow.parquet.read_table(path)
    assert table["step"].to_pylist() == [0, 0, 1, 2, 1]
    assert str(table.schema.field("value").type) == "double"


def test_export_that_fails_leaves_no_file(lens_command, tmp_path):
    """A workload that cannot be read leaves nothing behind."""
    assert lens_command("export", "nobody", "-o", str(tmp_path / "points.csv")).returncode == 1
    assert list(tmp_path.iterdir()) == []


def test_export_to_where_nobody_may_write_is_told(lens_command, two_runs, tmp_path):
    """A folder that is not there is one sentence."""
    done = lens_command("export", two_runs, "-o", str(tmp_path / "absent" / "points.csv"))
    assert done.returncode == 1
    assert "No such file or directory" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_export_reads_in_windows(server, lens, workload):
    """However small the window, every point comes once, in order."""
    metrics = [{"name": "a", "value": s, "step": s * s, "timestamp": AT} for s in range(50)]
    server.post("/wandb/metrics", {"workload_uid": workload, "metrics": metrics})
    tables = list(exporting.tables(lens, workload, window=7))
    assert [step for table in tables for step in table["step"]] == [s * s for s in range(50)]
    assert len(tables) > 5


def test_reader_that_has_seen_enough_is_no_failure_of_ours(server, two_runs):
    """A pipe that is closed early ends the command quietly."""
    command = [sys.executable, "-m", "primus_lens", "export", two_runs, "--url", server.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        running.stdout.close()
        assert running.stderr.read() == b""


def test_tail_shows_what_is_there_and_what_comes(server, workload):
    """The newest points, then each new one once, until Ctrl-C, which is no failure."""

    def report(*steps):
        metrics = [{"name": "a", "value": s, "step": s, "timestamp": AT + s} for s in steps]
        body = {"workload_uid": workload, "run_id": "r", "metrics": metrics}
        server.post("/wandb/metrics", body)

    report(*range(5))
    words = ["tail", workload, "a", "-n", "2", "--url", server.url]
    command = [sys.executable, "-m", "primus_lens", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout.readline() == "2023-11-14T22:13:23Z  r  step 3  a = 3.0\n"
        assert running.stdout.readline() == "2023-11-14T22:13:24Z  r  step 4  a = 4.0\n"
        for step in (5, 4000, 3999):
            report(step)
            assert f"step {step}  a = {float(step)}" in running.stdout.readline()
        running.send_signal(signal.SIGINT)
        assert running.stdout.read() == ""
    assert running.returncode == 0


def test_followed_point_comes_once_over_a_restart(make_server, workload):
    """A value that changes is told again; what comes while the server is away is told after it."""
    server = make_server().start()

    def report(value, step=1):
        point = {"name": "a", "value": value, "step": step, "timestamp": AT}
        server.post("/wandb/metrics", {"workload_uid": workload, "metrics": [point]})

    def come_back():
        if server.process.poll() is not None:
            server.start()
            report(4.0, step=2)

    report("NaN")
    with Client(server.url) as lens:
        rows = following.follow(lens, workload, first=5, pause=come_back)
        assert str(next(rows).value) == "nan"
        report(2.0)
        assert next(rows).value == 2.0
        report(3.0)
        assert next(rows).value == 3.0
        server.stop()
        assert next(rows)[-2:] == (2, 4.0)


def test_plot_hides_no_spike():
    """A spike of one point in thousands reaches the top of its column."""
    values = [0.0] * 5000
    values[1234] = 10.0
    lines = plotting.drawing(range(5000), values, width=40)
    assert lines[0].strip() == "10 ┤" + " " * (1234 * 40 // 4999) + "█"
    assert len(lines) == plotting.HEIGHT


@pytest.mark.parametrize("value", [0.0, 5.0, -1e308, 1e-300])
def test_plot_of_one_value(value):
    """A flat curve is a line."""
    lines = plotting.drawing([1, 2, 3], [value] * 3, width=10)
    assert sum("█" in line for line in lines) == 1


def test_plot_of_the_widest_range():
    """From the lowest float64 to the highest."""
    lines = plotting.drawing([0, 1], [-1.7e308, 1.7e308], width=2)
    assert lines[0].endswith("┤ █")
    assert lines[-1].endswith("┤█")


def test_plot_of_nothing_finite():
    """Where no value is finite there is nothing to draw."""
    assert plotting.drawing([0, 1], [float("nan"), float("inf")], width=10) == []


@pytest.mark.parametrize(
    "seconds, words",
    [(-3, "0 s ago"), (59.9, "59 s ago"), (60, "1 min ago"), (7200, "2 h ago"), (1e6, "11 d ago")],
)
def test_age_is_told_in_one_unit(seconds, words):
    """How long ago a workload was heard, in the largest unit that fits."""
    assert cli_read._ago(seconds) == words


@pytest.fixture
def on_a_terminal(server):
    """Runs `primus-lens` with a terminal as standard output; returns what it shows."""

    def command(*words):
        ours, theirs = pty.openpty()
        words = [sys.executable, "-m", "primus_lens", *words, "--url", server.url]
        with subprocess.Popen(words, stdout=theirs, stderr=theirs) as running:
            os.close(theirs)
            shown = bytearray()
            try:
                while part := os.read(ours, 65536):
                    shown += part
            except OSError:  # a terminal's way to say that its other end is closed
                os.close(ours)
        return running.returncode, shown.decode()

    return command


def test_runs_on_a_terminal(on_a_terminal, two_runs):
    """On a terminal the table keeps to its width."""
    status, shown = on_a_terminal("runs", "--q", two_runs)
    assert status == 0
    assert "workload" in shown


def test_parquet_is_not_thrown_at_a_terminal(on_a_terminal, two_runs):
    """Bytes for a machine go to a file or a pipe."""
    status, shown = on_a_terminal("export", two_runs, "--format", "parquet")
    assert status == 2
    assert "Parquet is no text for a terminal; name a file with -o" in shown


def test_parquet_of_windows_without_points(server, lens, workload, tmp_path):
    """Gaps between steps leave no mark in a file."""
    metrics = [{"name": "a", "value": 1, "step": s, "timestamp": AT} for s in (0, 1, 10_000)]
    server.post("/wandb/metrics", {"workload_uid": workload, "metrics": metrics})
    path = tmp_path / "points.parquet"
    with path.open("wb") as file:
        tables = exporting.tables(lens, workload, window=1)
        assert exporting.write(tables, "parquet", file) == 3
    assert pyarrow.parquet.read_table(path)["step"].to_pylist() == [0, 1, 10_000]
