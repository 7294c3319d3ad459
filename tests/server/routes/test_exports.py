"""Every point as a file: csv, ndjson, parquet; a row a point or a row a step; page by page."""

import asyncio
import csv
import io
import json

import chunk_reading as reading
import httpx
import pyarrow.parquet
import pytest

from primus_lens.model import errors
from primus_lens.query import curves, pieces, tables
from primus_lens.store.compaction import Compaction, RunSource
from primus_lens.store.points_read import Span

ROWS = [
    (0, 10.0, {"loss": 0.5, "n": 2**60 + 1}, {}),
    (1, 11.0, {"loss": "NaN", "a,b": 1, "step": 7}, {}),
    (2, 12.0, {"n": 3, "a,b": -0.25, "text": "no number"}, {"n": 12.5}),
]
POINTS = {
    *(("loss", 0, 10_000, 0.5), ("n", 0, 10_000, 2**60 + 1), ("loss", 1, 11_000, "NaN")),
    *(("a,b", 1, 11_000, 1), ("step", 1, 11_000, 7), ("a,b", 2, 12_000, -0.25)),
    ("n", 2, 12_500, 3),
}


@pytest.fixture
def told(server, workload):
    """A workload with the points above in two runs, and the path of its data."""
    for run_id in ("one", "two"):
        metrics = [
            {"name": name, "value": value, "step": step, "timestamp": times.get(name, at)}
            for step, at, named, times in ROWS
            for name, value in named.items()
            if name != "text"
        ]
        body = {"workload_uid": workload, "run_id": run_id, "metrics": metrics}
        assert server.post("/wandb/metrics", body).status_code == 200
    return f"/workloads/{workload}/metrics/data"


def number(text):
    """A cell of a CSV file."""
    return text if text in {"NaN", ""} else float(text) if "." in text else int(text)


def test_csv_has_a_row_a_point(server, told, workload):
    """Names come first; every point of every run is there, NaN is a word, integers keep digits."""
    answer = server.get(told, format="csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["x-total-points"] == "14"
    assert answer.headers["content-disposition"] == f'attachment; filename="{workload}.csv"'
    head, *rows = csv.reader(io.StringIO(answer.text))
    assert tuple(head) == tables.LONG
    for serial, run_id in (("1", "one"), ("2", "two")):
        of_run = [row for row in rows if row[:4] == [workload, run_id, serial, "wandb"]]
        assert {(row[4], int(row[5]), int(row[6]), number(row[7])) for row in of_run} == POINTS
        assert len(of_run) == len(POINTS)


def test_csv_has_a_row_a_step(server, told):
    """Wide, every metric is a column; one that is called like a column of ours is told apart."""
    answer = server.get(told, format="csv", layout="wide", run="one")
    head, *rows = csv.reader(io.StringIO(answer.text))
    assert head == [*tables.WIDE, "a,b", "loss", "n", "metric:step"]
    assert [row[4:] for row in rows] == [
        ["0", "10000", "", "0.5", str(2**60 + 1), ""],
        ["1", "11000", "1.0", "NaN", "", "7.0"],
        ["2", "12000", "-0.25", "", "3.0", ""],
    ]
    assert "x-total-points" not in answer.headers


def test_ndjson_has_an_object_a_point_or_a_step(server, told):
    """Lines of JSON say the same; wide, a step's metrics stand under their own names."""
    lines = server.get(told, format="ndjson", run="one").text.splitlines()
    found = {(r["metric"], r["step"], r["time"], r["value"]) for r in map(json.loads, lines)}
    assert found == POINTS
    lines = server.get(told, format="ndjson", layout="wide", run="2").text.splitlines()
    assert [json.loads(line)["metrics"] for line in lines] == [
        {"loss": 0.5, "n": 2**60 + 1},
        {"loss": "NaN", "a,b": 1, "step": 7},
        {"n": 3, "a,b": -0.25},
    ]


@pytest.mark.parametrize("layout, columns", [("long", 8), ("wide", 10)])
def test_parquet_is_whole(server, told, layout, columns):
    """A Parquet file of either layout is read back; NaN is NaN, what is missing is null."""
    answer = server.get(told, format="parquet", layout=layout, run="one")
    table = pyarrow.parquet.read_table(io.BytesIO(answer.content))
    assert table.num_columns == columns
    rows = table.to_pylist()
    if layout == "wide":
        assert [row["a,b"] for row in rows] == [None, 1.0, -0.25]
        assert rows[1]["loss"] != rows[1]["loss"]
        assert rows[1]["metric:step"] == 7.0
    else:
        there = {(row["metric"], row["step"], row["time"]) for row in rows}
        assert there == {point[:3] for point in POINTS}


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_file_without_points_is_a_file(server, workload, form):
    """Of a workload without points a file of each form is whole and empty."""
    answer = server.get(f"/workloads/{workload}/metrics/data", format=form)
    assert answer.status_code == 200
    assert answer.headers["x-total-points"] == "0"
    if form == "parquet":
        assert pyarrow.parquet.read_table(io.BytesIO(answer.content)).num_rows == 0
    else:
        assert answer.text == {"csv": ",".join(tables.LONG) + "\n", "ndjson": ""}[form]


def test_file_of_several_workloads(server, told, workload):
    """Several workloads come in one file, one after the other."""
    asked = {"workload": [workload, "nobody", workload], "format": "csv", "metric": "loss"}
    rows = list(csv.reader(io.StringIO(server.get("/metrics/data", **asked).text)))
    assert [(row[0], row[1]) for row in rows[1:]] == [
        *[(workload, "one")] * 2,
        *[(workload, "two")] * 2,
    ]
    assert told


@pytest.mark.parametrize(
    "asked", [{"max_points": 100}, {"x": "loss"}, {"replaced": True}, {"envelope": True}]
)
def test_what_only_curves_have_is_refused_for_files(server, told, asked):
    """A file holds every point; what thins or bends curves is refused by name."""
    answer = server.get(told, format="csv", **asked)
    assert answer.status_code == 400
    assert answer.json()["detail"][0]["field"] == next(iter(asked))


def test_pages_hold_every_point_once_in_order(server, told):
    """Page by page with `next`, each point comes once and in the order of the whole."""
    whole = server.get(told).json()
    assert "next" not in whole
    found, following = [], {}
    while True:
        page = server.get(told, limit=3, **following).json()
        found += page["data"]
        if not page["next"]:
            break
        following = {"after": page["next"]}
    assert found == whole["data"]
    assert server.get(told, limit=3, after="foreign").status_code == 400


def test_pieces_follow_the_cuts_of_chunks_and_rows(database_dsn):
    """However a run is cut into ranges and pieces, its points come once and in order of steps."""
    rows = [(step, float(step), {"a": step, "b": -step}, {}) for step in range(0, 6000, 2)]

    async def scenario():
        async with reading.opened(database_dsn) as database:
            await reading.store(database, reading.report("w", rows[:1000]))
            compaction = Compaction(database, reading.TINY)
            await compaction.compact(RunSource("w", "wandb", 1), now=reading.LATER)
            await reading.store(database, reading.report("w", rows[1000:]))
            return [
                [
                    (piece.series[0].steps.tolist(), len(piece.series))
                    async for piece in pieces.pieces(database, span, ["a", "b"], at_once=at_once)
                ]
                for span, at_once in ((Span("w"), 40), (Span("w", from_step=100, to_step=103), 10))
            ]

    whole, part = asyncio.run(scenario())
    assert [step for steps, _ in whole for step in steps] == list(range(0, 6000, 2))
    assert len(whole) > 20
    assert [step for steps, _ in part for step in steps] == [100, 102]


def test_server_without_pyarrow_says_so(monkeypatch):
    """Without its optional library Parquet answers 501 with what to do."""
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(errors.NotInstalled, match="pyarrow is not installed"):
        tables.encoder("parquet", "long", [])


def test_cursor_of_a_page_is_its_own():
    """Only what an answer gave is taken as a place."""
    with pytest.raises(errors.BadQuery, match="after"):
        curves.Page(10, "W10=")


def test_etag_spares_a_file(server, told):
    """Who has the file already is told so."""
    answer = server.get(told, format="csv")
    again = httpx.get(
        f"{server.url}/api/v1{told}?format=csv", headers={"If-None-Match": answer.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
