"""Panels, annotations and choices of the JSON protocols, beyond what the plug-ins recorded."""

import random

import httpx
import pytest
from odd_names import BEGAN, NAMES, UID

RANGE = {"from": "2024-01-01T00:00:00.000Z", "to": "2024-01-02T00:00:00.000Z"}


def report(server, workload, points, *, run_id="r", **more):
    """Report (name, value, step, seconds) points."""
    metrics = [{"name": n, "value": v, "step": s, "timestamp": BEGAN + t} for n, v, s, t in points]
    body = {"workload_uid": workload, "run_id": run_id, "metrics": metrics, **more}
    assert server.post("/wandb/metrics", body).status_code == 200


def asked(server, body, workload=""):
    """The answer of POST query, which must be 200."""
    where = f"/{workload}" if workload else ""
    answer = server.post(f"/grafana{where}/query", {"range": RANGE, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def labels(answer):
    """Under which names series are shown."""
    return [each["target"] for each in answer]


def test_a_range_includes_both_ends(odd_server):
    """Points at from and at to are in the answer, those beside them are not."""
    span = {"from": "2024-01-01T00:00:01Z", "to": "2024-01-01T00:00:02Z"}
    [found] = asked(odd_server, {"targets": [{"target": "тест"}], "range": span}, UID)
    assert [at for _, at in found["datapoints"]] == [(BEGAN + 1) * 1000, (BEGAN + 2) * 1000]


def test_without_a_range_everything_is_there(odd_server):
    """A range may be left out, or one end of it."""
    answer = odd_server.post(f"/grafana/{UID}/query", {"targets": [{"target": "тест"}]}).json()
    assert len(answer[0]["datapoints"]) == 6


def test_extremes_survive_a_narrow_panel(server, workload):
    """With fewer buckets than points each bucket keeps its highest and lowest value."""
    numbers = random.Random(5)
    values = [numbers.gauss(0, 1) for _ in range(4000)]
    for place in range(50, 4000, 100):
        values[place] = 1000 + place
    report(server, workload, [("m", v, s, s) for s, v in enumerate(values)])
    [found] = asked(server, {"targets": [{"target": "m"}], "maxDataPoints": 40}, workload)
    drawn = {value for value, _ in found["datapoints"]}
    assert len(found["datapoints"]) <= 4 * 40
    assert found["meta"]["total"] == 4000
    assert found["meta"]["thinned"] is True
    for bucket in range(40):
        of_bucket = values[bucket * 100 : bucket * 100 + 100]
        assert {max(of_bucket), min(of_bucket)} <= drawn


def test_every_shape_is_in_order_of_time(server, workload):
    """Two metrics whose times interleave, and a clock set back: ascending in each shape."""
    times = [3, 1, 2, 2, 9, 5]
    report(server, workload, [("a", s, s, t) for s, t in enumerate(times)])
    report(server, workload, [("b", s, s, t + 0.5) for s, t in enumerate(times)])
    targets = [
        {"target": "a"},
        {"target": "*", "type": "table"},
        {"target": "*", "payload": {"format": "wide"}},
    ]
    series, long, wide = asked(server, {"targets": targets}, workload)
    columns = [
        [at for _, at in series["datapoints"]],
        [row[0] for row in long["rows"]],
        [row[0] for row in wide["rows"]],
    ]
    assert all(column == sorted(column) for column in columns)
    assert [len(column) for column in columns] == [6, 12, 10]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_what_json_has_no_number_for_is_null(server, workload, value):
    """NaN and the infinities are null in every shape, since the clients' charts need numbers."""
    report(server, workload, [("m", value, 0, 0), ("m", 1.5, 1, 1)])
    targets = [{"target": "m"}, {"target": "m", "type": "table"}]
    series, table = asked(server, {"targets": targets}, workload)
    assert [number for number, _ in series["datapoints"]] == [None, 1.5]
    assert [row[2] for row in table["rows"]] == [None, 1.5]


def test_runs_and_sources_are_told_apart_only_where_needed(server, workload):
    """A label says the run, or the source, when more than one would have the same name."""
    report(server, workload, [("m", 1, 0, 0), ("n", 1, 0, 0)], run_id="one")
    report(server, workload, [("m", 2, 0, 1)], run_id="two")
    report(server, workload, [("n", 2, 0, 1)], run_id="one", source="log")
    answer = asked(server, {"targets": [{"target": "*"}]}, workload)
    assert sorted(labels(answer)) == ["m · run one", "m · run two", "n · log", "n · wandb"]
    for key, value, expected in [
        ("run_id", "two", ["m"]),
        ("data_source", "log", ["n"]),
        ("run_id", "(one|two)", ["m · run one", "m · run two", "n · log", "n · wandb"]),
    ]:
        filters = [{"key": key, "operator": "=", "value": value}]
        body = {"targets": [{"target": "*"}], "adhocFilters": filters}
        assert sorted(labels(asked(server, body, workload))) == expected


def of_two(server, workload):
    """Two workloads with one metric."""
    uids = [f"{workload}.a", f"{workload}.b"]
    for uid in uids:
        report(server, uid, [("loss", 1, 0, 0)])
    return uids


def test_a_workload_is_named_in_each_way_there_is(server, workload):
    """Where the address names none: payload, variable, scoped variable, filter, or the target."""
    one, two = of_two(server, workload)
    escaped = one.replace(".", r"\.")
    bodies = [
        {"targets": [{"target": "loss", "payload": {"workload_uid": escaped}}]},
        {"targets": [{"target": "loss", "data": {"workload_uid": one}}]},
        {"targets": [{"target": "loss"}], "variables": {"workload_uid": one}},
        {"targets": [{"target": "loss"}], "scopedVars": {"workload_uid": {"value": one}}},
        {"targets": [{"target": "loss"}], "adhocFilters": [{"key": "workload_uid", "value": one}]},
        {"targets": [{"target": f"{escaped}::loss"}]},
    ]
    for body in bodies:
        [found] = asked(server, body)
        assert found["meta"]["workload_uid"] == one
    for several in (f"({escaped}|{two})::loss", f"{{{one},{two}}}::loss"):
        answer = asked(server, {"targets": [{"target": several}]})
        assert labels(answer) == [f"{one} loss", f"{two} loss"]


@pytest.mark.parametrize("target", ["nothing", "gone::loss", "los", "l.*"])
def test_what_means_nothing_draws_nothing(odd_server, target):
    """A metric or workload that is not there is an empty answer, as a job that has yet to begin."""
    assert asked(odd_server, {"targets": [{"target": target}]}, UID) == []
    if "::" in target:
        assert asked(odd_server, {"targets": [{"target": target}]}) == []


def test_hidden_and_empty_targets_draw_nothing(odd_server):
    """What a client hides or leaves empty is not asked for."""
    targets = [{"target": "тест", "hide": True}, {"target": ""}, {"target": None}]
    assert asked(odd_server, {"targets": targets}, UID) == []


def test_a_restart_is_an_annotation(server, workload):
    """A later attempt of a run, and a second run of the workload, are restarts."""
    facts = {"name": "job", "state": "running", "started_at": BEGAN}
    report(server, workload, [("m", 1, 0, 0)], run=facts)
    later = {"state": "crashed", "attempt": 4e9, "ended_at": 4e9 + 5, "exit_code": 1}
    report(server, workload, [("m", 2, 1, 1)], run=later)
    second = {"name": "again", "state": "running", "started_at": BEGAN + 60}
    report(server, workload, [("m", 3, 0, 60)], run_id="two", run=second)
    body = {"annotation": {"query": workload}, "range": {}}
    answer = server.post("/grafana/annotations", body).json()
    assert [(each["time"], each["title"], each["tags"][0]) for each in answer] == [
        (BEGAN * 1000, "job started", "start"),
        ((BEGAN + 60) * 1000, "again restarted as run 2", "restart"),
        (4_000_000_000_000, "job taken up again", "restart"),
        (4_000_000_005_000, "job crashed, exit code 1", "end"),
    ]


def test_an_alert_of_the_watch_is_an_annotation(server, workload):
    """What the watch found stands at its begin, and has an end once it is over."""
    report(server, workload, [("loss", 1, 0, 0)])
    server.sql(
        """
        INSERT INTO alert (workload_uid, data_source, serial, kind, metric, text, since_step, since,
                           last_step, last_seen, opened_at, closed_at, passing)
        SELECT $1, 'wandb', 1, kind, 'loss', 'seen', 0, to_timestamp($2::float8 + place),
               5, to_timestamp($2::float8 + 9), now(), CASE WHEN over THEN now() END, passing
        FROM (VALUES ('nonfinite', 5, true, false), ('loss_spike', 3, false, false),
                     ('stall', 4, true, true)) AS given (kind, place, over, passing)
        """,
        workload,
        float(BEGAN),
    )
    body = {"annotation": {"query": workload}, "range": RANGE}
    answer = server.post("/grafana/annotations", body).json()
    assert [(each["time"], each.get("timeEnd"), each["title"]) for each in answer] == [
        ((BEGAN + 3) * 1000, None, "loss_spike: loss"),
        ((BEGAN + 5) * 1000, (BEGAN + 9) * 1000, "nonfinite: loss"),
    ]


MALFORMED = [
    ("query", b"", 422, "targets is missing"),
    ("query", b"[]", 422, "the body is []; it must be an object"),
    ("query", b"{", 400, "not valid JSON"),
    ("query", b"\xff", 400, "not valid JSON"),
    ("query", b'{"targets": "loss"}', 422, "targets is "),
    ("query", b'{"targets": [{"target": []}]}', 422, "targets[0].target is []"),
    ("query", b'{"targets": [{"target": "loss"}]}', 422, "of a workload: in the address"),
    ("query", b'{"targets": [], "maxDataPoints": 0}', 422, "maxDataPoints is 0"),
    ("query", b'{"targets": [], "range": {"from": "now-1h"}}', 422, 'range.from is "now-1h"'),
    ("query", b'{"targets": [], "range": {"to": "9999-99-99"}}', 422, "range.to is"),
    (
        "query",
        b'{"targets": [], "adhocFilters": [{"key": "x", "value": "y"}]}',
        422,
        "adhocFilters[0].key",
    ),
    (
        "query",
        b'{"targets": [], "filters": [{"key": "run_id", "operator": "=~", "value": "y"}]}',
        422,
        "adhocFilters[0].operator",
    ),
    ("query", b'{"targets": [{"target": "a", "type": "heatmap"}]}', 422, "targets[0].type"),
    ("query", b'{"targets": [' + b"{}," * 100 + b"{}]}", 422, "at most 100"),
    ("search", b'{"target": 5}', 422, "target is 5"),
    ("annotations", b"{}", 422, "annotation is missing"),
    ("annotations", b'{"annotation": {"query": [1]}}', 422, "annotation.query is [1]"),
    ("tag-values", b"{}", 422, "key is missing"),
    ("tag-values", b'{"key": "pod"}', 422, 'key is "pod"'),
    ("tag-keys", b'"x"', 422, "the body is "),
    ("grafana/metric-payload-options", b'{"name": "pod"}', 422, 'is "pod"'),
]
MALFORMED += [(f"grafana/{what}", *rest) for what, *rest in MALFORMED[:-1]]


@pytest.mark.parametrize("what, body, status, words", MALFORMED)
def test_a_malformed_body_is_refused_in_words(server, what, body, status, words):
    """What is wrong is said with a 4xx, never a 500."""
    headers = {"Content-Type": "application/json"}
    answer = httpx.post(f"{server.url}/api/v1/{what}", content=body, headers=headers, timeout=30)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]


def test_a_form_is_no_query(server):
    """Prometheus' clients post forms to a path of the same name: they are told what it is."""
    answer = httpx.post(f"{server.url}/api/v1/query", data={"query": "up"}, timeout=30)
    assert answer.status_code == 415
    assert "application/json" in answer.json()["error"]


def test_more_curves_than_a_panel_shows_are_refused(server, workload):
    """A star over a thousand metrics is a slip: it is said, not drawn."""
    report(server, workload, [(f"m{n}", 1, 0, 0) for n in range(501)])
    answer = server.post(f"/grafana/{workload}/query", {"targets": [{"target": "*"}]})
    assert answer.status_code == 422
    assert "at most 500 curves" in answer.json()["error"]


@pytest.mark.parametrize("end", ["", "/", f"/{UID}", f"/{UID}/", "/nobody", "/nobody/"])
def test_the_base_answers_with_and_without_a_slash(server, end):
    """Saving the data source probes its base: 200, and never a redirect."""
    assert httpx.get(f"{server.url}/api/v1/grafana{end}").status_code == 200


@pytest.mark.parametrize("text", ["sources({})", "runs({})"])
def test_a_variable_lists_sources_and_runs(odd_server, text):
    """Variables choose a source or a run of a workload, which comes escaped."""
    answer = odd_server.post("/grafana/search", {"target": text.format(r"odd\/names 1")})
    assert answer.json() == [{"sources({})": "wandb", "runs({})": "r1"}[text]]


def test_part_of_a_name_finds_metrics(odd_server):
    """What is typed into a query editor finds the names that hold it, whatever their case."""
    assert odd_server.post(f"/grafana/{UID}/search", {"target": r"LR \("}).json() == ["lr (x1e-3)"]


@pytest.mark.parametrize("metrics", [*NAMES, ",".join(NAMES), "{" + ",".join(NAMES) + "}"])
def test_plain_get_resolves_names_against_the_catalogue(odd_server, metrics):
    """Panels that ask the plain endpoints choose the same names, one or several."""
    answer = odd_server.get(f"/workloads/{UID}/metrics/data", metrics=metrics)
    found = [row["metric_name"] for row in answer.json()["data"]]
    assert set(found) == ({metrics} if metrics in NAMES else set(NAMES))


def test_a_token_that_reads_may_ask(guarded_server, make_token):
    """Questions are POSTs here: scope read is enough, ingest is not, and none is 401."""
    for path in ("/grafana/search", "/grafana/w/query", "/search", "/tag-values"):
        statuses = [
            guarded_server.post(path, {"targets": [], "key": "run_id"}, **headers).status_code
            for headers in (
                {},
                {"Authorization": f"Bearer {make_token('ingest')}"},
                {"Authorization": f"Bearer {make_token('read')}"},
            )
        ]
        assert statuses == [401, 403, 200], path
