"""The specification's four GET endpoints and what the page reads beside them."""

import pytest

SPEC_POINTS = [
    {"name": "loss", "value": 0.5, "step": 100, "timestamp": 1704067200.123, "tags": {}},
    {"name": "accuracy", "value": 0.95, "step": 100, "timestamp": 1704067200.123, "tags": {}},
]


@pytest.fixture
def spec_workload(server, workload):
    """A workload with the two points the specification's answers are written for."""
    body = {"source": "wandb", "workload_uid": workload, "run_id": "r", "metrics": SPEC_POINTS}
    assert server.post("/wandb/metrics", body).status_code == 200
    return workload


def report(server, workload, *points, run_id="r", **more):
    """Report (name, value, step, time) points; the answer must be 200."""
    metrics = [{"name": n, "value": v, "step": s, "timestamp": t} for n, v, s, t in points]
    body = {"workload_uid": workload, "run_id": run_id, "metrics": metrics, **more}
    answer = server.post("/wandb/metrics", body)
    assert answer.status_code == 200, answer.text


def test_sources_answer_field_for_field(server, spec_workload):
    """GET sources is the specification's document."""
    assert server.get(f"/workloads/{spec_workload}/metrics/sources", cluster="").json() == {
        "workload_uid": spec_workload,
        "data_sources": [{"name": "wandb", "count": 1}],
        "total_count": 1,
    }


def test_available_answers_field_for_field(server, spec_workload):
    """GET available is the specification's document."""
    asked = server.get(f"/workloads/{spec_workload}/metrics/available", data_source="wandb")
    assert asked.json() == {
        "workload_uid": spec_workload,
        "metrics": [
            {"name": "accuracy", "data_source": ["wandb"], "count": 1},
            {"name": "loss", "data_source": ["wandb"], "count": 1},
        ],
        "total_count": 2,
    }


def test_data_answers_field_for_field(server, spec_workload):
    """GET data with the specification's parameters is its document."""
    asked = server.get(
        f"/workloads/{spec_workload}/metrics/data",
        data_source="wandb",
        metrics="loss,accuracy",
        start=1704067200000,
        end=1704153600000,
    )
    rows = [
        {
            "metric_name": name,
            "value": value,
            "timestamp": 1704067200123,
            "iteration": 100,
            "data_source": "wandb",
        }
        for name, value in (("accuracy", 0.95), ("loss", 0.5))
    ]
    assert asked.json() == {
        "workload_uid": spec_workload,
        "data_source": "wandb",
        "data": rows,
        "total_count": 2,
    }
    assert list(asked.json()) == ["workload_uid", "data_source", "data", "total_count"]


def test_iteration_times_answer_field_for_field(server, workload):
    """GET iteration-times tells each step, and the target beside it where the job told one."""
    report(
        server,
        workload,
        ("loss", 0.5, 100, 1704067200.123),
        ("target_iteration", 10000, 100, 1704067200.123),
    )
    row = {"timestamp": 1704067200123, "iteration": 100, "data_source": "wandb"}
    asked = server.get(f"/workloads/{workload}/metrics/iteration-times", data_source="wandb")
    assert asked.json() == {
        "workload_uid": workload,
        "data_source": "wandb",
        "data": [
            {"metric_name": "iteration", "value": 100, **row},
            {"metric_name": "target_iteration", "value": 10000, **row},
        ],
        "total_count": 2,
    }


@pytest.mark.parametrize(
    "endpoint, part",
    [
        ("sources", "data_sources"),
        ("available", "metrics"),
        ("data", "data"),
        ("iteration-times", "data"),
    ],
)
def test_unknown_workload_is_empty(server, workload, endpoint, part):
    """Nothing stored is an empty list, not an error."""
    asked = server.get(f"/workloads/{workload}/metrics/{endpoint}")
    assert asked.status_code == 200
    assert asked.json()[part] == []
    assert asked.json()["total_count"] == 0


@pytest.mark.parametrize(
    "bounds, steps",
    [
        ({}, [0, 1, 2, 3]),
        ({"start": 1001000}, [1, 2, 3]),
        ({"end": 1002000}, [0, 1, 2]),
        ({"start": 1001000, "end": 1002000}, [1, 2]),
        ({"start": 1001001, "end": 1001999}, []),
    ],
)
def test_bounds_are_inclusive_and_each_optional(server, workload, bounds, steps):
    """A point at a bound belongs to the answer; either bound may be left out."""
    report(server, workload, *[("loss", step, step, 1000 + step) for step in range(4)])
    rows = server.get(f"/workloads/{workload}/metrics/data", **bounds).json()["data"]
    assert [row["iteration"] for row in rows] == steps


def test_points_ascend_in_time_over_all_metrics(server, workload):
    """Rows are ordered by time whatever their metric, step and order of arrival."""
    report(server, workload, ("a", 1, 9, 50.0), ("b", 2, 1, 40.0), ("a", 3, 5, 60.0))
    report(server, workload, ("b", 4, 7, 45.0))
    rows = server.get(f"/workloads/{workload}/metrics/data").json()["data"]
    assert [row["timestamp"] for row in rows] == [40000, 45000, 50000, 60000]


def test_every_point_carries_its_own_time(server, workload):
    """Metrics of one step logged at different moments keep their moments."""
    report(server, workload, ("loss", 1, 5, 100.0), ("eval", 2, 5, 130.5))
    report(server, workload, ("late", 3, 5, 170.25))
    rows = server.get(f"/workloads/{workload}/metrics/data").json()["data"]
    assert {row["metric_name"]: row["timestamp"] for row in rows} == {
        "loss": 100000,
        "eval": 130500,
        "late": 170250,
    }


@pytest.mark.parametrize(
    "asked, names",
    [
        ({}, {"a", "b", "c,d"}),
        ({"metrics": "all"}, {"a", "b", "c,d"}),
        ({"metrics": "a"}, {"a"}),
        ({"metrics": "a,b"}, {"a", "b"}),
        ({"metrics": "{a,b}"}, {"a", "b"}),
        ({"metrics": "c,d"}, {"c,d"}),
        ({"metric": ["c,d", "a"]}, {"a", "c,d"}),
        ({"metrics": "absent"}, set()),
    ],
)
def test_metrics_are_chosen_by_name(server, workload, asked, names):
    """A list, Grafana's braces, `all`, or repeated `metric`; names with commas can be asked."""
    report(server, workload, *[(name, 1, 1, 10.0) for name in ("a", "b", "c,d")])
    rows = server.get(f"/workloads/{workload}/metrics/data", **asked).json()["data"]
    assert {row["metric_name"] for row in rows} == names


def test_columns_are_one_series_a_run(server, workload):
    """`format=columns` tells runs apart and carries non-finite values as words."""
    report(server, workload, ("loss", 0.5, 0, 10.0), ("loss", "NaN", 1, 11.0), run_id="first")
    report(server, workload, ("loss", 0.25, 0, 20.0), run_id="second")
    asked = server.get(f"/workloads/{workload}/metrics/data", format="columns", metric="loss")
    first, second = asked.json()["series"]
    assert (first["run_id"], first["step"], first["value"]) == ("first", [0, 1], [0.5, "NaN"])
    assert (second["serial"], second["value"], second["time"]) == (2, [0.25], [20000])


@pytest.mark.parametrize(
    "parameters, steps",
    [
        ({"from_x": 2, "to_x": 4}, [2, 3, 4]),
        ({"from_x": 1.5}, [2, 3, 4, 5]),
        ({"to_x": 1.5}, [0, 1]),
        ({"x": "time", "from_x": 102000, "to_x": 103000}, [2, 3]),
        ({"x": "time", "from_x": 102000, "end": 102500}, [2]),
        ({"from_x": -1e300, "to_x": 1e300}, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_zoom_reads_only_its_part(server, workload, parameters, steps):
    """`from_x` and `to_x` bound the x axis, both included."""
    report(server, workload, *[("loss", step, step, 100.0 + step) for step in range(6)])
    path = f"/workloads/{workload}/metrics/data"
    [series] = server.get(path, format="columns", **parameters).json()["series"]
    assert series["step"] == steps


def test_workload_may_hold_slashes(server, workload):
    """A uid such as team/run is one workload, in every endpoint."""
    uid = f"{workload}/a b/metrics"
    report(server, uid, ("loss", 0.5, 0, 10.0))
    assert server.points(uid) == {("loss", 0): 0.5}
    assert server.get(f"/workloads/{uid}").json()["workload_uid"] == uid


def test_large_answers_are_compressed_on_request(server, workload):
    """Columns travel as gzip to readers that take it."""
    report(server, workload, *[("loss", step / 7, step, 100.0 + step) for step in range(2000)])
    answer = server.get(f"/workloads/{workload}/metrics/data", format="columns")
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.json()["series"][0]["step"]) == 2000


def test_unchanged_columns_are_not_sent_again(server, workload):
    """The ETag answers 304 until a point is stored."""
    report(server, workload, ("loss", 0.5, 0, 10.0))
    path = f"/workloads/{workload}/metrics/data"
    tag = server.get(path, format="columns").headers["etag"]

    def status():
        import httpx  # noqa: PLC0415 - this one request needs a header of its own

        url = f"{server.url}/api/v1{path}"
        asked = httpx.get(url, params={"format": "columns"}, headers={"If-None-Match": tag})
        return asked.status_code

    assert status() == 304
    report(server, workload, ("loss", 0.4, 1, 11.0))
    assert status() == 200


@pytest.mark.parametrize(
    "parameters, words",
    [
        ({"start": "yesterday"}, "start is"),
        ({"format": "xml"}, "format is"),
        ({"max_points": 1}, "max_points is"),
    ],
)
def test_wrong_parameter_is_named(server, workload, parameters, words):
    """A reader's mistake is a 400 that names the parameter."""
    asked = server.get(f"/workloads/{workload}/metrics/data", **parameters)
    assert asked.status_code == 400
    assert words in asked.json()["error"]


def test_unknown_cluster_names_the_known_ones(server, workload):
    """A data plane that is not configured is a 404 with those that are."""
    asked = server.get(f"/workloads/{workload}/metrics/data", cluster="mars")
    assert asked.status_code == 404
    assert "known are: default" in asked.json()["error"]


def test_workload_is_listed_with_its_latest_values(server, workload):
    """The inventory shows step, values, framework and state of the newest run."""
    report(
        server,
        workload,
        ("loss", 0.5, 1, 10.0),
        ("loss", 0.25, 2, 11.0),
        run={"state": "running", "name": "bold-sun", "project": "p"},
    )
    [listed] = server.get("/workloads", q=workload).json()["workloads"]
    assert listed["last_step"] == 2
    assert listed["last_values"] == {"loss": 0.25}
    assert (listed["state"], listed["name"], listed["project"]) == ("running", "bold-sun", "p")
    assert listed["runs"] == 1


def test_workload_of_a_detection_alone_is_listed(server, workload):
    """A job that has not logged yet is there with its framework."""
    evidence = {"base_frameworks": {"deepspeed": {"detected": True, "initialized": True}}}
    server.post("/wandb/detection", {"workload_uid": workload, "evidence": evidence})
    [listed] = server.get("/workloads", q=workload).json()["workloads"]
    assert (listed["framework"], listed["runs"]) == ("deepspeed", 0)
    assert server.get(f"/workloads/{workload}").json()["detection"]["method"] == "import"


def test_unknown_workload_in_full_is_not_found(server, workload):
    """One workload in full exists or it does not."""
    assert server.get(f"/workloads/{workload}").status_code == 404
