"""CSV files: wide and long, gaps and odd spellings, and what `primus-lens export` writes."""

import os
import subprocess
import sys

import pytest

from primus_lens.importing import csv_table
from primus_lens.importing.records import ImportFailed


@pytest.fixture
def table(tmp_path):
    """Writes a CSV file and reads its runs."""

    def read(text, **columns):
        path = tmp_path / "metrics.csv"
        path.write_text(text, encoding="utf-8")
        os.utime(path, (5, 5))
        return csv_table.tables(path, run_id="run", **columns)

    return read


def points(source):
    """Name, step, JSON and time of every point."""
    return [
        (point.name, point.step, bytes(point.value).decode(), point.timestamp)
        for record in source.records()
        for point in record.points
    ]


def test_wide_table_with_missing_cells(table):
    """Each filled cell is a point, an empty one is none."""
    [source] = table("epoch,step,time,loss,acc\n0,10,1.5,0.5,\n0,20,2.5,,0.9\n1,30,3.5,0.25\n")
    assert points(source) == [
        ("epoch", 10, "0", 1.5),
        ("loss", 10, "0.5", 1.5),
        ("epoch", 20, "0", 2.5),
        ("acc", 20, "0.9", 2.5),
        ("epoch", 30, "1", 3.5),
        ("loss", 30, "0.25", 3.5),
    ]


def test_long_table(table):
    """A row a point: name, step, value."""
    [source] = table("Step,Metric,Value\n1,loss,0.5\n1,acc,0.9\n2,loss,\n")
    assert points(source) == [("loss", 1, "0.5", 5.0), ("acc", 1, "0.9", 5.0)]


def test_table_of_tensorboard(table):
    """What TensorBoard's download button writes."""
    [source] = table("Wall time,Step,Value\n1700000000.5,3,0.25\n")
    assert points(source) == [("Value", 3, "0.25", 1700000000.5)]


@pytest.mark.parametrize(
    "cell, value",
    [
        ("0.1", "0.1"),
        ("1e-3", "1e-3"),
        ("9007199254740993", "9007199254740993"),
        ("nan", '"NaN"'),
        ("-NaN", '"NaN"'),
        ("inf", '"Infinity"'),
        ("-Infinity", '"-Infinity"'),
        ("+2", "2.0"),
        (".5", "0.5"),
        (" 7 ", "7"),
    ],
)
def test_spellings_of_numbers(table, cell, value):
    """Digits are kept as they are written; what JSON writes otherwise is written so."""
    [source] = table(f"step,a\n1,{cell}\n")
    assert [point[2] for point in points(source)] == [value]


@pytest.mark.parametrize("cell", ["", " ", "None", "null", "text", "1_000", "True", "1e999"])
def test_what_is_no_number_is_no_point(table, cell):
    """Words are no points; nor is what no float64 can hold."""
    [source] = table(f"step,a,b\n1,{cell},2\n")
    assert [point[0] for point in points(source)] == ["b"]


@pytest.mark.parametrize(
    "cell, at",
    [
        ("1700000000", 1700000000.0),
        ("1700000000123", 1700000000.123),
        ("2023-11-14T22:13:20Z", 1700000000.0),
        ("2023-11-14 22:13:20", 1700000000.0),
        ("2023-11-15T00:13:20+02:00", 1700000000.0),
        ("yesterday", 5.0),
        ("", 5.0),
    ],
)
def test_spellings_of_time(table, cell, at):
    """Seconds, milliseconds and ISO 8601; the time of the file where there is none."""
    [source] = table(f"step,time,a\n1,{cell},2\n")
    assert [point[3] for point in points(source)] == [at]


@pytest.mark.parametrize(
    "cell, steps", [("3", [3]), ("3.0", [3]), ("", []), ("3.5", []), ("x", [])]
)
def test_row_without_a_step_is_counted(table, cell, steps):
    """A step may be written as a float; a row without one is left out and counted."""
    [source] = table(f"step,a,b\n{cell},1,2\n")
    assert sorted({point[1] for point in points(source)}) == steps
    assert source.account.refused == (0 if steps else 2)


def test_columns_may_be_named(table):
    """Columns of any name serve as step and time when they are named."""
    [source] = table("n,when,a\n1,7,2\n", step="n", time="when")
    assert points(source) == [("a", 1, "2", 7.0)]


@pytest.mark.parametrize(
    "text, columns, sentence",
    [
        ("a,b\n1,2\n", {}, "has no column that is called step, _step, .*; it has|It has: a, b"),
        ("", {}, "has no column that is called step"),
        ("step\n1\n", {}, "has no column of values beside step"),
        ("step,a\n1,2\n", {"step": "n"}, 'has no column "n"; it has: step, a'),
        ("step,a\n1,2\n", {"time": "n"}, 'has no column "n"; it has: step, a'),
    ],
)
def test_table_that_cannot_be_read_is_told(table, text, columns, sentence):
    """What is missing is named."""
    with pytest.raises(ImportFailed, match=sentence):
        table(text, **columns)


def test_cell_beyond_any_measure_is_told(table):
    """A file that is no CSV at all ends in words."""
    [source] = table("step,a\n1," + "x" * 200_000 + "\n")
    with pytest.raises(ImportFailed, match="is no CSV that can be read: field larger"):
        list(source.records())


def test_runs_of_one_file_stay_apart(table):
    """A column run_id tells the runs apart."""
    sources = table("run_id,step,a\none,1,2\ntwo,1,3\none,2,4\n")
    assert {source.run_id: [point[2] for point in points(source)] for source in sources} == {
        "one": ["2", "4"],
        "two": ["3"],
    }


def test_what_is_exported_can_be_imported(server, workload, import_command, tmp_path):
    """Export and import give the same points, run by run: NaN and all digits included."""
    for run_id, value in (("one", 2**53 + 1), ("two", "NaN")):
        metrics = [{"name": "a", "value": value, "step": s, "timestamp": s + 0.5} for s in range(3)]
        server.post(
            "/wandb/metrics", {"workload_uid": workload, "run_id": run_id, "metrics": metrics}
        )
    path = tmp_path / "exported.csv"
    command = [sys.executable, "-m", "primus_lens", "export", workload, "-o", str(path)]
    subprocess.run([*command, "--url", server.url], check=True, capture_output=True)
    copy = f"{workload}-copy"
    for _ in range(2):
        assert import_command("csv", path, "--workload", copy).returncode == 0

    def curves(uid):
        answer = server.get(f"/workloads/{uid}/metrics/data", format="columns").json()["series"]
        return {(s["run_id"], s["metric"]): (s["step"], s["time"], s["value"]) for s in answer}

    assert curves(copy) == curves(workload)
    rows = server.get(f"/workloads/{copy}/metrics/data").json()["data"]
    assert {row["value"] for row in rows} == {2**53 + 1, "NaN"}


def test_changed_file_is_imported_anew(server, workload, import_command, tmp_path):
    """A file that was corrected replaces the value, and keeps what it replaced."""
    path = tmp_path / "metrics.csv"
    for value in ("1", "2"):
        path.write_text(f"step,time,a\n1,7,{value}\n")
        assert import_command("csv", path, "--workload", workload).returncode == 0
    assert server.points(workload) == {("a", 1): 2}


def test_points_left_out_are_told(workload, import_command, tmp_path):
    """The command says on stderr how many points it could not place."""
    path = tmp_path / "metrics.csv"
    path.write_text("step,a\n,1\n2,1\n")
    done = import_command("csv", path, "--workload", workload)
    assert (done.returncode, done.stdout) == (0, f"metrics: 1 points from {path}\n")
    assert done.stderr.startswith(f"primus-lens: {path}: 1 point(s) left out: no step, or a name")


def test_file_named_twice_is_imported_once(workload, import_command, tmp_path):
    """A file that is named, and found in a directory, too, is read once."""
    path = tmp_path / "metrics.csv"
    path.write_text("step,a\n2,1\n")
    done = import_command("csv", path, tmp_path, "--workload", workload)
    assert len(done.stdout.splitlines()) == 1
