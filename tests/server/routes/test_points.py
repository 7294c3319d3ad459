"""Points in the forms a reader may ask for: replaced ones, along a metric, of several, as bands."""

import itertools

import httpx
import pytest


def report(server, workload, *rows, run_id="r", at=1000.0, **more):
    """Report (step, metrics) rows, a second a step from `at`; the answer must be 200."""
    metrics = [
        {"name": name, "value": value, "step": step, "timestamp": at + step}
        for step, named in rows
        for name, value in named.items()
    ]
    body = {"workload_uid": workload, "run_id": run_id, "metrics": metrics, **more}
    answer = server.post("/wandb/metrics", body)
    assert answer.status_code == 200, answer.text


def columns(server, workload, **parameters):
    """The series of a columns answer."""
    answer = server.get(f"/workloads/{workload}/metrics/data", format="columns", **parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()["series"]


@pytest.fixture
def restarted(server, workload):
    """A run of steps 0 to 9 that was restarted at 6, and once more at 8."""
    for attempt, first in enumerate((0, 6, 8)):
        rows = [(step, {"loss": step + attempt / 10, "lr": 1}) for step in range(first, 10)]
        report(server, workload, *rows, at=1000.0 * (attempt + 1))
    return workload


def test_earlier_attempts_stay_to_be_read(server, restarted):
    """What restarts overwrote comes as series of its own, each attempt's where it had been."""
    now, first, second = columns(server, restarted, metric="loss", replaced=True)
    assert now["value"] == [0, 1, 2, 3, 4, 5, 6.1, 7.1, 8.2, 9.2]
    assert "replaced" not in now
    assert (first["replaced"], first["revision"]) == (True, 1)
    assert (first["step"], first["value"]) == ([6, 7, 8, 9], [6, 7, 8, 9])
    assert first["time"] == [1_006_000, 1_007_000, 1_008_000, 1_009_000]
    assert (second["revision"], second["step"], second["value"]) == (2, [8, 9], [8.1, 9.1])
    assert [each["metric"] for each in columns(server, restarted, metric="lr", replaced=True)] == [
        "lr"
    ]


def test_replaced_points_keep_to_the_bounds(server, restarted):
    """Bounds of steps, of time, of the run hold for what was replaced, too."""
    _, first = columns(server, restarted, metric="loss", replaced=True, from_x=6, to_x=7)
    assert first["step"] == [6, 7]
    old = columns(server, restarted, metric="loss", replaced=True, end=1_007_000)[-1]
    assert (old["replaced"], old["step"]) == (True, [6, 7])
    assert columns(server, restarted, metric="loss", replaced=True, run="2") == []


def test_points_stand_along_another_metric(server, workload):
    """With x=NAME a point stands where that metric was at its step, in the order of x."""
    values = [(0, 3.0), (1, 1.0), (2, "NaN"), (4, 2.0)]
    report(server, workload, *[(step, {"loss": step, "tokens": x}) for step, x in values])
    report(server, workload, (3, {"loss": 3}), (5, {"tokens": 9}))
    [loss] = columns(server, workload, metric="loss", x="tokens")
    assert (loss["x"], loss["step"], loss["value"]) == ([1, 2, 3], [1, 4, 0], [1, 4, 0])
    [loss] = columns(server, workload, metric="loss", x="tokens", from_x=1.5, to_x=2.0)
    assert (loss["x"], loss["total"]) == ([2], 1)
    assert columns(server, workload, metric="loss", x="none") == []
    assert [each["metric"] for each in columns(server, workload, x="tokens")] == ["loss", "tokens"]


def test_replaced_points_stand_along_what_the_metric_was_then(server, workload):
    """An overwritten point keeps the x it had, although both were overwritten."""
    report(server, workload, (1, {"loss": 1, "tokens": 10}))
    report(server, workload, (1, {"loss": 2, "tokens": 20}))
    now, old = columns(server, workload, metric="loss", x="tokens", replaced=True)
    assert (now["x"], now["value"]) == ([20], [2])
    assert (old["x"], old["value"], old["replaced"]) == ([10], [1], True)


def test_band_holds_every_buckets_extremes(server, workload):
    """With envelope each bucket of a thinned curve tells its exact lowest and highest value."""
    values = [((step * 7919) % 101) / 3 for step in range(200)]
    report(server, workload, *[(step, {"loss": value}) for step, value in enumerate(values)])
    [loss] = columns(server, workload, metric="loss", max_points=20, envelope=True)
    band = loss["envelope"]
    assert sum(band["count"]) == 200
    places = list(itertools.accumulate(band["count"], initial=0))
    for bucket, (first, end) in enumerate(itertools.pairwise(places)):
        inside = values[first:end]
        assert (band["min"][bucket], band["max"][bucket]) == (min(inside), max(inside))
        assert (band["start"][bucket], band["end"][bucket]) == (first, end - 1)
    [whole] = columns(server, workload, metric="loss", envelope=True)
    assert "envelope" not in whole


def test_bucket_without_a_finite_value_has_no_extremes(server, workload):
    """A bucket of nothing but NaN tells null."""
    rows = [(step, {"loss": "NaN" if step < 10 else "Infinity"}) for step in range(20)]
    report(server, workload, *rows)
    [loss] = columns(server, workload, metric="loss", max_points=8, envelope=True)
    assert loss["envelope"]["min"] == loss["envelope"]["max"] == [None, None]


def test_runs_are_chosen_by_serial_or_id(server, workload):
    """With run= only these runs come, whichever way they are named."""
    for run_id in ("a", "b", "3"):
        report(server, workload, (1, {"loss": 1}), run_id=run_id)
    assert [each["serial"] for each in columns(server, workload, run=["a", "2"])] == [1, 2]
    assert [each["run_id"] for each in columns(server, workload, run="3")] == ["3"]


def test_several_workloads_in_one_answer(server, workload):
    """Curves of several workloads come side by side, each with its workload, once."""
    others = [workload, f"{workload}/b"]
    for place, uid in enumerate(others):
        report(server, uid, (1, {"loss": place, "lr": 1}))
    asked = {"workload": [*others, workload, "nobody"], "metric": "loss", "x": "time"}
    answer = server.get("/metrics/data", **asked)
    assert [(each["workload_uid"], each["value"]) for each in answer.json()["series"]] == [
        (others[0], [0]),
        (others[1], [1]),
    ]
    assert answer.json()["workloads"] == [*others, "nobody"]
    assert server.get("/metrics/data", metric="loss").status_code == 400


@pytest.mark.parametrize("path", ["sources", "available", "data", "iteration-times"])
def test_answers_are_told_once(server, workload, path):
    """Each reading endpoint gives an ETag, answers 304 to who has it, and anew after a report."""
    report(server, workload, (1, {"loss": 1}))
    address = f"{server.url}/api/v1/workloads/{workload}/metrics/{path}"
    first = httpx.get(address)
    tag = {"If-None-Match": first.headers["etag"]}
    assert httpx.get(address, headers=tag).status_code == 304
    report(server, workload, (2, {"loss": 1}))
    again = httpx.get(address, headers=tag)
    assert (again.status_code, again.json() == first.json()) == (200, False)


@pytest.mark.parametrize("bound", ["from_x", "to_x"])
def test_no_number_is_no_bound(server, workload, bound):
    """NaN as a bound answers 400, whatever the axis."""
    for x in ("step", "tokens"):
        asked = {"format": "columns", "x": x, bound: "NaN"}
        assert server.get(f"/workloads/{workload}/metrics/data", **asked).status_code == 400
