"""`primus-lens runs | curve | export | tail`, as processes of their own."""

import csv
import io
import json
import math
import os
import pty
import signal
import subprocess
import sys
import time

import pandas as pd
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from primus_lens import cli_read, exporting, following, plotting
from primus_lens.client import Client, LensApiError, PointsFile

AT = 1_700_000_000.5
MS = 1_700_000_000_500


def test_runs_are_listed(lens_command, two_runs):
    """A line a workload: its uid, runs, last step and last values."""
    done = lens_command("runs", "--q", two_runs)
    heading, line = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert heading.startswith("workload ")
    assert line.startswith(two_runs)
    assert "loss=" in line


def test_what_is_not_known_is_left_out_of_the_table(lens_command, server, workload):
    """A workload without a step has none shown; a number of many digits is shortened."""
    server.post("/wandb/detection", {"workload_uid": workload})
    assert "None" not in lens_command("runs", "--q", workload).stdout
    big = [{"name": "big", "value": 10**300, "step": 0}]
    server.post("/wandb/metrics", {"workload_uid": workload, "metrics": big})
    assert "big=1e+300" in lens_command("runs", "--q", workload).stdout


def test_no_run_is_told(lens_command):
    """Nothing found is said."""
    done = lens_command("runs", "--q", "no workload is called so")
    assert done.stdout.strip() == "no workload is like that"


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


def test_runs_tell_how_they_stand(lens_command, server, workload):
    """State, progress, pace and the small curve of the loss; `--state` chooses."""
    now = time.time()
    metrics = [
        {"name": name, "value": value, "step": step, "timestamp": now - 10 + step}
        for step in range(8)
        for name, value in (("loss", 8 - step), ("target_iteration", 70))
    ]
    server.post("/wandb/metrics", {"workload_uid": workload, "metrics": metrics})
    heading, line = lens_command("runs", "--q", workload).stdout.splitlines()
    assert {"state", "progress", "steps/s", "loss", "values"} < {*heading.split()}
    assert " 10%" in line
    assert "█▇▆▅▄▃▂▁" in line
    done = lens_command("runs", "--q", workload, "--state", "crashed")
    assert done.stdout.strip() == "no workload is like that"


def test_curves_of_two_workloads_over_a_metric(lens_command, server, workload):
    """`--x` may be a metric, `--beside` one more workload; each plot says whose it is."""
    for uid in (workload, f"{workload}-b"):
        metrics = [
            {"name": name, "value": value, "step": step, "timestamp": AT}
            for step in range(3)
            for name, value in (("loss", step), ("tokens", 512 * step))
        ]
        report = {"workload_uid": uid, "run_id": "r", "metrics": metrics}
        server.post("/wandb/metrics", report)
    words = ("loss", "--x", "tokens", "--beside", f"{workload}-b")
    done = lens_command("curve", workload, *words)
    assert f"loss of run r (wandb, serial 1) of {workload}-b\n" in done.stdout
    assert done.stdout.count("tokens 0 to 1024\n") == 2


def test_metrics_that_never_meet_are_told(lens_command, two_runs, server):
    """Where no step has both metrics there is nothing to draw, which is said."""
    metrics = [{"name": "lonely", "value": 1, "step": 77, "timestamp": AT}]
    server.post("/wandb/metrics", {"workload_uid": two_runs, "run_id": "one", "metrics": metrics})
    done = lens_command("curve", two_runs, "loss", "--x", "lonely")
    assert (done.returncode, done.stderr) == (1, "primus-lens: no step has both loss and lonely\n")


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
        f"{two_runs},one,1,wandb,big,0,{MS},{2**53 + 1}",
        f"{two_runs},one,1,wandb,loss,0,{MS},0.0",
        f"{two_runs},one,1,wandb,loss,1,{MS + 1000},NaN",
        f"{two_runs},one,1,wandb,loss,2,{MS + 2000},2.0",
        f"{two_runs},two,2,wandb,loss,1,{MS + 10_000},-Infinity",
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
    assert done.stderr == f"every point of {two_runs} in {path}\n"
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


def test_export_of_a_metric_with_a_row_a_step(lens_command, two_runs):
    """`--layout wide` has a column for each metric asked for, and no other; `-o -` is a pipe."""
    words = ("--layout", "wide", "-o", "-")
    done = lens_command("export", two_runs, "loss", *words)
    assert list(pd.read_csv(io.StringIO(done.stdout)).columns)[-2:] == ["time", "loss"]
    assert done.stderr == f"4 steps of {two_runs}\n"


def test_export_of_a_metric_that_is_unknown_is_told(lens_command, two_runs):
    """A metric that is not there is no empty file."""
    done = lens_command("export", two_runs, "acc")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"primus-lens: {two_runs} has no metric acc; it has: big, loss\n"


def test_file_that_breaks_off_leaves_none(tmp_path):
    """A file whose stream fails is not there, nor is a part of it."""

    def breaking():
        yield b"a,b\n"
        raise LensApiError("broke off")

    def write():
        with exporting.whole(tmp_path / "points.csv") as file:
            exporting.write(PointsFile("csv", None, breaking()), file, lambda _rows, _size: None)

    with pytest.raises(LensApiError, match="broke off"):
        write()
    assert list(tmp_path.iterdir()) == []


@given(text=st.lists(st.text(st.sampled_from('a,"\n'), max_size=5)), cut=st.integers(1, 9))
def test_rows_are_counted_however_they_are_cut(text, cut):
    """The count of a CSV's rows is that of its reader: lines within quotes are none."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([["head", "b"], *([cell, 1] for cell in text)])
    whole = file.getvalue().encode()
    parts = (whole[at : at + cut] for at in range(0, len(whole), cut))
    told = []
    coming = PointsFile("csv", None, parts)
    exporting.write(coming, io.BytesIO(), lambda rows, size: told.append((rows, size)))
    assert told[-1] == (len(text), len(whole))


def test_export_shows_how_far_it_is(on_a_terminal, server, workload, tmp_path):
    """On a terminal a bar stands for the points there are, and goes when the file is whole."""
    metrics = [{"name": "a", "value": s, "step": s, "timestamp": AT} for s in range(50)]
    server.post("/wandb/metrics", {"workload_uid": workload, "metrics": metrics})
    status, shown = on_a_terminal("export", workload, "-o", str(tmp_path / "points.csv"))
    assert status == 0
    assert "50 points" in shown
    assert f"50 points of {workload} in" in shown.replace("\r\n", "")


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
    [(-3, "0 s"), (59.9, "59 s"), (60, "1 min"), (7200, "2 h"), (1e6, "11 d")],
)
def test_span_of_time_is_told_in_one_unit(seconds, words):
    """How long ago a workload was heard and how long it goes on, in the largest unit that fits."""
    assert cli_read._lasting(seconds) == words


def test_sparkline_has_a_character_a_value():
    """Lowest and highest are the ends of the scale; what is missing or not finite is blank."""
    assert plotting.sparkline([0.0, None, 7.0, math.nan, 3.4]) == "▁ █ ▄"
    assert plotting.sparkline([2.0, 2.0]) == "▅▅"
    assert plotting.sparkline([None, math.inf]) == ""


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
