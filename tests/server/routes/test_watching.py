"""The endpoints of the watch, and the command that replays it, over a real server."""

import json
import subprocess
import sys
import time

import httpx
import pytest


def put(server, workload, body):
    """PUT the watch of a workload."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.put(
        f"{server.url}/api/v1/workloads/{workload}/watch",
        content=content,
        headers={"Content-Type": "application/json"},
        timeout=30,
    )


def report(server, workload, values, **more):
    """Losses, a step a second, the last one now."""
    now = time.time()
    metrics = [
        {"name": "loss", "value": value, "step": i, "timestamp": now - len(values) + 1 + i}
        for i, value in enumerate(values)
    ]
    body = {"workload_uid": workload, "run_id": "r", "run": {"state": "running"}, **more}
    answer = server.post("/wandb/metrics", body | {"metrics": metrics})
    assert answer.is_success


def alerts_of(server, workload, state="open"):
    """The alerts of a workload, once the watch has looked."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = server.get("/alerts", workload=workload, state=state).json()
        if found["alerts"]:
            return found
        time.sleep(0.1)  # the watch looks every five seconds
    pytest.fail("no alert")


def test_alert_is_listed_with_run_metric_and_words(server, workload):
    """An alert says whose it is, of what kind, since when, and what people read."""
    report(server, workload, [2.0, 2.0, "NaN", 2.0])
    found = alerts_of(server, workload)
    assert found["total_count"] == 1
    [alert] = found["alerts"]
    fields = {"workload_uid": workload, "run_id": "r", "serial": 1, "data_source": "wandb"}
    fields |= {"kind": "nonfinite", "metric": "loss", "state": "open", "since_step": 2}
    fields |= {"passing": False, "closed_at": None}
    assert fields.items() <= alert.items()
    assert alert["text"].startswith("loss is NaN since step 2")
    assert abs(alert["since"] / 1000 - time.time()) < 60
    for wrong in ({"kind": "stall"}, {"state": "closed"}):
        asked = {"workload": workload, "state": "all"} | wrong
        assert server.get("/alerts", **asked).json() == {"alerts": [], "total_count": 0}


def test_fleet_shows_open_alerts_and_who_diverged(server, workload):
    """A workload's row carries its open alerts; one whose loss stays NaN is told as diverged."""
    report(server, workload, [2.0] * 5 + ["NaN"] * 25)
    alerts_of(server, workload)
    [row] = server.get("/workloads", q=workload).json()["workloads"]
    assert row["state"] == "diverged"
    told = {alert["kind"]: alert for alert in row["alerts"]}
    assert told.keys() == {"nonfinite", "divergence"}
    assert told["divergence"].keys() == {"kind", "since", "text", "run_id", "metric"}
    assert told["divergence"]["text"].startswith("loss has been NaN since step 5, for 2")
    until = {"silenced_until": 4_000_000_000_000}
    assert put(server, workload, until).is_success
    [row] = server.get("/workloads", q=workload).json()["workloads"]
    assert (row["state"], row["alerts"]) == ("running", [])
    gone = httpx.delete(f"{server.url}/api/v1/workloads/{workload}").json()
    assert "'alerts': 2" in str(gone)
    assert server.get("/alerts", workload=workload, state="all").json()["total_count"] == 0


@pytest.mark.parametrize(
    "parameters", [{"kind": "spike"}, {"state": "red"}, {"limit": 0}, {"offset": -1}]
)
def test_wrong_question_is_refused(server, parameters):
    """A parameter that cannot be is a 400 that names what is allowed."""
    answer = server.get("/alerts", **parameters)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_query")


def test_watch_of_a_workload_is_set_whole(server, workload):
    """What is put is what is read; what is left out is the server's again."""
    until = round(time.time() * 1000) + 3_600_000
    body = {
        "silenced_until": until,
        "silenced_kinds": ["stall"],
        "thresholds": {"loss_spike": {"k": 6}},
    }
    said = put(server, workload, body).json()
    assert body.items() <= said.items()
    assert (said["in_force"]["loss_spike"]["k"], said["in_force"]["stall"]["k"]) == (6, 10)
    assert server.get(f"/workloads/{workload}/watch").json() == said
    said = put(server, workload, {}).json()
    assert (said["silenced_until"], said["thresholds"]) == (None, {})
    assert said["in_force"]["loss_spike"]["k"] == 8


@pytest.mark.parametrize(
    "body, words",
    [
        ({"thresholds": {"loss_spike": {"k": "x"}}}, "thresholds.loss_spike.k"),
        ({"thresholds": {"webhook_url": "http://x"}}, "unknown field `webhook_url`"),
        ({"silenced_until": -1}, "silenced_until"),
        ({"silenced_until": 10**18}, "silenced_until"),
        ({"silenced_kinds": ["noise"]}, "silenced_kinds"),
        ({"silence": 1}, "unknown field `silence`"),
        ([], "the body: Expected `object`"),
        (b"{", "the body is not JSON"),
        ({"thresholds": {"losses": ["\x00"]}}, "thresholds"),
    ],
)
def test_wrong_watch_is_refused_in_words(server, workload, body, words):
    """A body that cannot be is a 4xx that names the place, and changes nothing."""
    answer = put(server, workload, body)
    assert 400 <= answer.status_code < 500
    assert words in answer.json()["error"]
    assert server.get(f"/workloads/{workload}/watch").json()["thresholds"] == {}


def test_health_tells_streams_gaps_and_clock(server, workload):
    """What came of which stream, what was lost, and how far the clocks are apart."""
    body = {
        "workload_uid": workload,
        "run_id": "r",
        "pod_name": f"{workload}-0",
        "run": {"state": "running"},
        "metrics": [{"name": "loss", "value": 1, "step": 1, "timestamp": time.time() - 100}],
        "gaps": [{"first": 7, "last": 9, "points": 30, "reason": "spool_full"}],
    }
    key = {"Idempotency-Key": f"{workload}/1-6"}
    assert server.post("/wandb/metrics", body, **key).is_success
    found = server.get(f"/workloads/{workload}/health").json()
    [stream], [gap] = found["streams"], found["gaps"]
    assert (stream["stream"], stream["records"]) == (workload, 6)
    assert (gap["run_id"], gap["first"], gap["last"], gap["points"]) == ("r", 7, 9, 30)
    assert (gap["reason"], found["points_lost"], found["parked"]) == ("spool_full", 30, 0)
    assert 100 <= found["clock_skew_s"] < 160
    assert found["last_seen"] == stream["updated_at"]
    waits = {"pod_name": f"{workload}-0", "metrics": body["metrics"]}
    assert server.post("/wandb/metrics", waits).json()["pending"] is True
    assert server.get(f"/workloads/{workload}/health").json()["parked"] == 1


def test_health_names_a_stream_that_never_spoke_of_its_run(server, workload):
    """A stream of numbers alone is told with all its records, and a parked one once attached."""
    point = {"name": "loss", "value": 1, "step": 1, "timestamp": time.time()}
    bare = {"workload_uid": workload, "run_id": "r", "metrics": [point]}
    for first in (1, 4):
        key = {"Idempotency-Key": f"{workload}-bare/{first}-{first + 2}"}
        assert server.post("/wandb/metrics", bare, **key).is_success
    pod = {"pod_name": f"{workload}-0", "namespace": "team"}
    waits = {**pod, "run_id": "r", "metrics": [point]}
    key = {"Idempotency-Key": f"{workload}-parked/1-2"}
    assert server.post("/wandb/metrics", waits, **key).json()["pending"] is True
    assert server.post("/wandb/metrics", bare | pod).is_success  # teaches whose pod it is
    while (told := server.get(f"/workloads/{workload}/health").json())["parked"]:
        pass  # the suite's time limit bounds the wait
    streams = told["streams"]
    assert {each["stream"]: each["records"] for each in streams} == {
        f"{workload}-bare": 6,
        f"{workload}-parked": 2,
    }


def test_health_of_an_unknown_workload_is_404(server, workload):
    """Of a workload that reported nothing there is no health."""
    assert server.get(f"/workloads/{workload}/health").status_code == 404


def replayed(server, *options):
    """What `primus-lens watch` prints for the session's server: status, stdout, stderr."""
    config = server.data_directory.parent / "server.yaml"
    done = subprocess.run(
        [sys.executable, "-m", "primus_lens", "watch", *options, "--config", str(config)],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def test_replay_prints_what_would_have_been_said(server, workload):
    """The table and the JSON tell the alerts of a history, at other thresholds when asked."""
    report(server, workload, [2.0 + 0.01 * (i % 7) for i in range(60)] + [2.25] * 20)
    status, table, summary = replayed(server, "--replay", workload)
    assert (status, table) == (0, "")
    assert "80 rows judged, 0 alerts" in summary
    options = ("--replay", workload, "--set", "loss_spike.k=4", "--set", "loss_spike.lasting=3")
    status, table, summary = replayed(server, *options)
    assert "1 alerts" in summary
    assert "loss rose from 2.03 to 2.25 at step 60" in table
    [said] = json.loads(replayed(server, *options, "--json")[1])
    assert (said["what"], said["step"], said["finding"]["kind"]) == ("opened", 62, "loss_spike")


@pytest.mark.parametrize(
    "options, words",
    [
        (("--replay", "nobody"), "no workload nobody has reported anything yet"),
        (("--replay", "w", "--set", "k"), "write it as loss_spike.k=6"),
        (("--replay", "w", "--set", "stall.k=x"), "thresholds.stall.k"),
    ],
)
def test_wrong_replay_ends_in_words(server, options, words):
    """What a person can mend is a sentence and status 2."""
    status, _, said = replayed(server, *options)
    assert status == 2
    assert words in said
    assert "Traceback" not in said
