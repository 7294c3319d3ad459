"""Reading from Python, against a real server."""

import http.server
import itertools
import math
import socket
import sys
import threading

import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from primus_lens.client import Client, LensApiError, Point
from primus_lens.client.points import streamed

AT = 1_700_000_000.5


@pytest.fixture
def answering():
    """Starts a server that gives every request these bytes and remembers its headers."""
    started = []

    def start(answer):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                seen.append(self.headers)
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        seen = []
        made = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=made.serve_forever, daemon=True).start()
        started.append(made)
        return f"http://127.0.0.1:{made.server_port}", seen

    yield start
    for each in started:
        each.shutdown()
        each.server_close()


def test_workloads_are_found(lens, two_runs):
    """A workload is found by a part of its name, and none by what it is not called."""
    [found] = lens.workloads(q=two_runs)
    assert (found["workload_uid"], found["runs"]) == (two_runs, 2)
    assert lens.workloads(q="no workload is called so") == []


def test_all_pages_are_read(lens, two_runs, monkeypatch):
    """However small the server's page, every workload comes once."""
    monkeypatch.setattr("primus_lens.client.reading._PAGE", 1)
    found = [each["workload_uid"] for each in lens.workloads()]
    assert two_runs in found
    assert len(set(found)) == len(found)


def test_workload_is_told_in_full(lens, two_runs):
    """One workload: its runs and metrics."""
    found = lens.workload(two_runs)
    assert [run["run_id"] for run in found["runs"]] == ["one", "two"]
    assert lens.metrics(two_runs) == ["big", "loss"]
    assert lens.counts(two_runs) == {"big": 1, "loss": 4}


def test_workload_may_hold_slashes(server, lens, workload):
    """A uid of any characters is asked for as it is."""
    uid = f"{workload}/a b?c#d%e"
    metrics = [{"name": "loss", "value": 1, "step": 0, "timestamp": AT}]
    server.post("/wandb/metrics", {"workload_uid": uid, "metrics": metrics})
    assert lens.metrics(uid) == ["loss"]


def test_refusal_is_told_in_the_servers_words(lens):
    """An error has the server's sentence, status and code."""
    with pytest.raises(LensApiError, match="no workload nobody has reported anything") as caught:
        lens.workload("nobody")
    assert (caught.value.status, caught.value.code) == (404, "not_known")


def test_server_that_is_not_there_is_told(free_ports):
    """Without an answer the error names the server, and has no status."""
    lens = Client(f"http://127.0.0.1:{free_ports()}")
    with lens, pytest.raises(LensApiError, match=r"http://127\.0\.0\.1:\d+ cannot be") as caught:
        lens.workloads()
    assert caught.value.status is None


@pytest.mark.parametrize(
    "answer, sentence",
    [
        (b"HTTP/1.0 200 OK\r\n\r\n<html>", "does not speak like Primus Lens"),
        (b"HTTP/1.0 502 Bad Gateway\r\n\r\nproxy", "answered 502"),
        (b"HTTP/1.0 302 Found\r\nLocation: /login\r\n\r\n", "answered 302"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 99\r\n\r\n{", "broke off"),
        (b'HTTP/1.0 503 Busy\r\nRetry-After: 7\r\n\r\n{"error": "too busy"}', "^too busy$"),
    ],
)
def test_answer_of_something_else_is_told(answering, answer, sentence):
    """What is no answer of a server of ours is an error in words."""
    url, _ = answering(answer)
    with Client(url) as lens, pytest.raises(LensApiError, match=sentence):
        lens.workloads()


def test_silent_server_is_told():
    """A server that takes the request and says nothing in time is named."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        lens = Client(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.05)
        with lens, pytest.raises(LensApiError, match="did not answer in time"):
            lens.workloads()


@pytest.mark.parametrize(
    "url, token, sentence",
    [
        ("localhost:8080", None, '"localhost:8080" is no address of a server; write http://host'),
        ("http://host:port", None, "the address or the token cannot be used"),
        ("http://host", "tökén→", "the address or the token cannot be used"),
    ],
)
def test_address_that_is_none_is_told(url, token, sentence):
    """What cannot be an address or a token is refused before anything is asked."""
    with pytest.raises(LensApiError, match=sentence):
        Client(url, token)


def test_token_is_shown(answering):
    """The token travels as a bearer's."""
    url, seen = answering(b'HTTP/1.0 200 OK\r\n\r\n{"workloads": [], "total_count": 0}')
    with Client(url, token="lens_a_b") as lens:  # noqa: S106 - no secret
        lens.workloads()
    assert seen[0]["Authorization"] == "Bearer lens_a_b"


def test_curve_is_a_long_table(lens, two_runs):
    """Without a library: lists, a place a point; every run in it, NaN and infinities as floats."""
    table = lens.curve(two_runs, "loss")
    assert table["run_id"] == ["one", "one", "one", "two"]
    assert table["serial"] == [1, 1, 1, 2]
    assert table["step"] == [0, 1, 2, 1]
    assert table["time"] == [AT, AT + 1, AT + 2, AT + 10]
    assert table["value"][::2] == [0.0, 2.0]
    assert math.isnan(table["value"][1])
    assert table["value"][3] == -math.inf
    assert set(table["metric"]) == {"loss"}
    assert set(table["workload_uid"]) == {two_runs}


def test_every_metric_without_names(lens, two_runs):
    """No name means all metrics."""
    assert set(lens.curve(two_runs)["metric"]) == {"big", "loss"}


def test_curve_is_thinned_and_cut(server, lens, workload):
    """max_points thins without losing an extreme; between cuts, in steps or seconds."""
    metrics = [
        {"name": "a", "value": 99 if step == 777 else 0, "step": step, "timestamp": AT + step}
        for step in range(2000)
    ]
    server.post("/wandb/metrics", {"workload_uid": workload, "metrics": metrics})
    thinned = lens.curve(workload, "a", max_points=40)
    assert len(thinned["step"]) <= 40
    assert max(thinned["value"]) == 99
    assert lens.curve(workload, "a", between=(10, 12))["step"] == [10, 11, 12]
    by_time = lens.curve(workload, "a", x="time", between=(AT + 5, AT + 6))
    assert by_time["step"] == [5, 6]


def test_pandas_frame(lens, two_runs):
    """frame="pandas" is a DataFrame of int64 and float64, NaN included."""
    frame = lens.curve(two_runs, "loss", frame="pandas")
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == list(lens.curve(two_runs, "loss"))
    assert (frame["step"].dtype, frame["value"].dtype) == ("int64", "float64")
    assert frame["value"].isna().sum() == 1


def test_polars_frame(lens, two_runs):
    """frame="polars" is a DataFrame in which NaN is NaN and not missing."""
    frame = lens.curve(two_runs, "loss", frame="polars")
    assert (frame.schema["step"], frame.schema["value"]) == (pl.Int64, pl.Float64)
    assert frame["value"].is_nan().sum() == 1
    assert frame["value"].null_count() == 0


@pytest.mark.parametrize("frame", ["pandas", "polars"])
def test_empty_frame_has_its_types(lens, workload, frame):
    """A curve without points is a frame with the same columns and types."""
    empty = lens.curve(workload, "loss", frame=frame)
    assert len(empty) == 0
    assert "float64" in str(empty["value"].dtype).lower()


def test_library_that_is_missing_is_told(lens, two_runs, monkeypatch):
    """Without the library the error says how to get it."""
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match=r"pip install 'primus-lens\[polars\]'"):
        lens.curve(two_runs, "loss", frame="polars")


def test_unknown_library_is_refused(lens, two_runs):
    """Another word than a library's is named."""
    with pytest.raises(ValueError, match="frame is 'numpy'; it must be"):
        lens.curve(two_runs, "loss", frame="numpy")


def test_points_come_in_order_of_time(lens, two_runs):
    """Every point as it was logged: all digits of integers, NaN and infinities as floats."""
    points = list(lens.points(two_runs))
    assert points[0] == Point("big", 0, AT, 2**53 + 1, "wandb")
    assert [point.step for point in points] == [0, 0, 1, 2, 1]
    assert math.isnan(points[2].value)
    assert points[4].value == -math.inf


def test_points_are_chosen(lens, two_runs):
    """By name, by source and by time, bounds included."""
    chosen = lens.points(two_runs, "loss", data_source="wandb", start=AT + 1, end=AT + 2)
    assert [point.step for point in chosen] == [1, 2]
    assert list(lens.points(two_runs, data_source="log")) == []


ANSWER = (
    '{"workload_uid":"\\"data\\":[","data_source":"","data":['
    '{"metric_name":"],\\"}{","value":1,"timestamp":1500,"iteration":1,"data_source":"a"},'
    '{"metric_name":"ü","value":"NaN","timestamp":2000,"iteration":2,"data_source":"b"},'
    '{"metric_name":"c","value":-1.5e-7,"timestamp":-1,"iteration":3,"data_source":"c"}'
    '],"total_count":3}'
)


@given(st.lists(st.integers(0, len(ANSWER)), max_size=20))
def test_stream_may_be_cut_anywhere(cuts):
    """However the network cuts an answer, its points are the same."""
    places = [0, *sorted(cuts), len(ANSWER)]
    pieces = [ANSWER[a:b] for a, b in itertools.pairwise(places)]
    told = list(streamed(pieces))
    assert [point.metric for point in told] == ['],"}{', "ü", "c"]
    assert [point.time for point in told] == [1.5, 2.0, -0.001]


@pytest.mark.parametrize("length", [10, 60, 130, 200, len(ANSWER) - 20])
def test_stream_that_breaks_off_is_no_end(length):
    """An answer that stops early is an error, not a short list."""
    with pytest.raises(EOFError):
        list(streamed([ANSWER[:length]]))


def test_points_that_break_off_are_told(answering):
    """A server that dies within its answer is an error in words."""
    url, _ = answering(b'HTTP/1.0 200 OK\r\n\r\n{"data":[')
    with Client(url) as lens, pytest.raises(LensApiError, match="broke off"):
        list(lens.points("w"))


def test_endless_stream_takes_bounded_memory():
    """A point is given as soon as it is there; nothing is kept for those to come."""
    row = ANSWER[ANSWER.index("[{") + 1 : ANSWER.index("},") + 2]

    def endless():
        yield '{"data":['
        while True:
            yield row

    points = streamed(endless())
    first = [next(points) for _ in range(10_000)]
    assert len(first) == 10_000
    assert len(points.gi_frame.f_locals["text"]) <= 2 * len(row)
