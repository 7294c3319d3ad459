"""What is stored of what is reported: merging, history, serials, exactly once, parking."""

import gzip
import json
import math

import httpx
import pytest


def send(server, workload, *points, run_id="r", key=None, **more):
    """Report (name, value, step) points; the answer must be 200."""
    metrics = [{"name": n, "value": v, "step": s, "timestamp": 1000.0 + s} for n, v, s in points]
    body = {"workload_uid": workload, "run_id": run_id, "metrics": metrics, **more}
    headers = {"Idempotency-Key": key} if key else {}
    answer = server.post("/wandb/metrics", body, **headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def stored(server, workload):
    """The performance documents of a workload by (serial, step)."""
    rows = server.sql(
        "SELECT serial, iteration, performance FROM training_performance WHERE workload_uid = $1",
        workload,
    )
    return {(row["serial"], row["iteration"]): json.loads(row["performance"]) for row in rows}


def test_step_is_one_document_in_the_specifications_shape(server, workload):
    """The metrics of a step share one row that says where it comes from."""
    send(server, workload, ("loss", 0.5, 7), ("accuracy", 0.9, 7))
    assert stored(server, workload) == {
        (1, 7): {
            "source": "wandb",
            "run_id": "r",
            "step": 7,
            "loss": 0.5,
            "accuracy": 0.9,
            "created_at": "1970-01-01T00:16:47Z",
        }
    }


def test_metrics_added_to_a_step_merge_without_history(server, workload):
    """A later report adds its metrics to the step's row."""
    send(server, workload, ("loss", 0.5, 1))
    send(server, workload, ("eval", 0.7, 1))
    document = stored(server, workload)[1, 1]
    assert (document["loss"], document["eval"]) == (0.5, 0.7)
    assert "history" not in document


def test_changed_value_puts_the_replaced_record_into_history(server, workload):
    """An overwritten step keeps what it replaced, in the specification's shape."""
    send(server, workload, ("loss", 0.6, 1), ("acc", 0.93, 1))
    send(server, workload, ("loss", 0.5, 1))
    document = stored(server, workload)[1, 1]
    assert (document["loss"], document["acc"]) == (0.5, 0.93)
    assert document["history_total"] == 1
    assert document["history"] == [
        {
            "source": "wandb",
            "run_id": "r",
            "step": 1,
            "loss": 0.6,
            "acc": 0.93,
            "created_at": "1970-01-01T00:16:41Z",
            "updated_at": "1970-01-01T00:16:41Z",
        }
    ]


def test_history_keeps_the_newest_64_and_counts_all(server, workload):
    """A step overwritten a hundred times is bounded, and says how often it was."""
    send(server, workload, *[("loss", value, 1) for value in range(101)])
    document = stored(server, workload)[1, 1]
    assert document["loss"] == 100
    assert document["history_total"] == 100
    assert [entry["loss"] for entry in document["history"]] == list(range(36, 100))


def test_identical_replay_changes_nothing(server, workload):
    """The same report twice leaves the row as once."""
    send(server, workload, ("loss", 0.5, 1), ("nan", "NaN", 1))
    before = server.sql("SELECT *, xmin FROM training_performance WHERE workload_uid=$1", workload)
    send(server, workload, ("loss", 0.5, 1), ("nan", "NaN", 1))
    after = server.sql("SELECT *, xmin FROM training_performance WHERE workload_uid=$1", workload)
    assert before == after


def test_created_at_never_moves(server, workload):
    """An overwritten step keeps the moment it was first logged."""
    send(server, workload, ("loss", 0.5, 1))
    question = "SELECT created_at FROM training_performance WHERE workload_uid = $1"
    before = server.sql(question, workload)
    body = {"name": "loss", "value": 0.1, "step": 1, "timestamp": 9999.0}
    server.post("/wandb/metrics", {"workload_uid": workload, "run_id": "r", "metrics": [body]})
    assert server.sql(question, workload) == before
    rows = server.get(f"/workloads/{workload}/metrics/data").json()["data"]
    assert [row["timestamp"] for row in rows] == [9999000]


def test_runs_of_a_workload_are_numbered_and_never_mix(server, workload):
    """Two runs share no row; a run that comes back keeps its serial."""
    send(server, workload, ("loss", 1, 1), run_id="a")
    send(server, workload, ("loss", 2, 1), run_id="b")
    send(server, workload, ("loss", 3, 2), run_id="a")
    assert {key: doc["run_id"] for key, doc in stored(server, workload).items()} == {
        (1, 1): "a",
        (2, 1): "b",
        (1, 2): "a",
    }


@pytest.mark.parametrize("name", ["step", "source", "run_id", "history", "created_at", "metric:x"])
def test_metric_named_like_metadata_is_kept(server, workload, name):
    """A job may call its metric what the document calls its own fields."""
    send(server, workload, (name, 0.25, 3), ("loss", 1, 3))
    assert server.points(workload) == {(name, 3): 0.25, ("loss", 3): 1}
    assert stored(server, workload)[1, 3]["step"] == 3
    assert server.points(workload, metric=name) == {(name, 3): 0.25}


@pytest.mark.parametrize(
    "value",
    [0, -0.0, 5e-324, 1.7976931348623157e308, 0.1, 2**53 + 1, -(2**70), "NaN", "-Infinity", 1e22],
)
def test_value_comes_back_as_it_was_sent(server, workload, value):
    """No value is rounded, clipped or turned into another."""
    send(server, workload, ("v", value, 0))
    [got] = server.points(workload).values()
    assert got == value
    assert math.copysign(1, float(got)) == math.copysign(1, float(value))


def test_replayed_batch_changes_nothing(server, workload):
    """The parts of a batch are stored once under its key; one that had failed may be sent again."""
    key = {"Idempotency-Key": f"{workload}/1-2"}

    def batch(loss, logs):
        of_run = {"workload_uid": workload, "run_id": "r"}
        metrics = [{"name": "loss", "value": loss, "step": 1}]
        body = {"metrics": {**of_run, "metrics": metrics}, "logs": {**of_run, "logs": logs}}
        return server.post("/wandb/batch", body, **key).json()["results"]

    first = batch(1, "none")
    assert (first["metrics"], first["logs"]["success"]) == ({"success": True, "count": 1}, False)
    send(server, workload, ("loss", 2, 1))
    again = batch(1, [{"step": 1, "data": {"lr": 3}}])
    assert again["metrics"] == {"success": True, "count": 1, "replayed": True}
    assert again["logs"] == {"success": True, "count": 1}
    assert server.points(workload) == {("loss", 1): 2, ("lr", 1): 3}
    key["Idempotency-Key"] = f"{workload}/2-3"
    assert batch(1, [])["metrics"]["accepted"] == [[1, 2]]
    key["Idempotency-Key"] = f"{'s' * 124}/1"
    assert "a stream of at most 120 characters" in batch(1, [])["metrics"]["error"]


@pytest.mark.parametrize("body", [{}, {"metrics": None}, {"metric": {}}], ids=str)
def test_batch_without_a_part_is_refused(server, body):
    """A batch that names none of the three parts stored nothing and is told so."""
    answer = server.post("/wandb/batch", body)
    assert answer.status_code == 422
    [problem] = answer.json()["detail"]
    assert (problem["got"], problem["allowed"]) == (list(body), "one with detection, metrics, logs")


def test_replayed_records_change_nothing(server, workload):
    """A request whose records are all known answers 200 and is forgotten."""
    send(server, workload, ("loss", 1, 1), key=f"{workload}/1-5")
    send(server, workload, ("loss", 2, 1), key=f"{workload}/6-6")
    again = send(server, workload, ("loss", 1, 1), key=f"{workload}/1-5")
    assert again["replayed"] is True
    assert server.points(workload) == {("loss", 1): 2}


def test_partly_known_records_are_refused_with_what_is_known(server, workload):
    """The sender is told which records are stored, so that it can send the others."""
    send(server, workload, ("loss", 1, 1), key=f"{workload}/1-5")
    send(server, workload, ("loss", 1, 2), key=f"{workload}/9-9")
    body = {"workload_uid": workload, "metrics": [{"name": "x", "value": 1, "step": 1}]}
    answer = server.post("/wandb/metrics", body, **{"Idempotency-Key": f"{workload}/4-9"})
    assert answer.status_code == 409
    assert answer.json()["accepted"] == [[1, 5], [9, 9]]
    assert ("x", 1) not in server.points(workload)


def test_records_may_arrive_in_any_order(server, workload):
    """Fresh records before the backlog: both are stored, both are known afterwards."""
    send(server, workload, ("loss", 2, 2), key=f"{workload}/2-2")
    send(server, workload, ("loss", 1, 1), key=f"{workload}/1-1")
    assert send(server, workload, key=f"{workload}/1-2")["replayed"] is True
    assert server.points(workload) == {("loss", 1): 1, ("loss", 2): 2}


def test_logs_keep_text_in_the_row_and_out_of_the_curves(server, workload):
    """What is not a number is stored beside the numbers and never drawn."""
    row = {"step": 4, "timestamp": 50.0, "data": {"loss": 0.5, "phase": "warm-up", "ok": True}}
    answer = server.post("/wandb/logs", {"workload_uid": workload, "run_id": "r", "logs": [row]})
    assert answer.json()["message"] == "training data reported successfully"
    document = stored(server, workload)[1, 4]
    assert (document["phase"], document["ok"]) == ("warm-up", True)
    assert server.points(workload) == {("loss", 4): 0.5}
    available = server.get(f"/workloads/{workload}/metrics/available").json()
    assert [metric["name"] for metric in available["metrics"]] == ["loss"]


def test_pod_of_two_workloads_is_stored_to_each(server, workload):
    """A report that names its pod alone goes to every workload of the pod."""
    for name in ("a", "b"):
        server.sql(
            "INSERT INTO pod_cache (workload_uid, namespace, pod_name) VALUES ($1, 'ns', $2)",
            f"{workload}-{name}",
            workload,
        )
    body = {"pod_name": workload, "metrics": [{"name": "loss", "value": 1, "step": 0}]}
    assert server.post("/wandb/metrics", body).json()["workloads_count"] == 2
    assert server.points(f"{workload}-a") == server.points(f"{workload}-b") == {("loss", 0): 1}


def test_workload_uid_outranks_the_pod(server, workload):
    """A report that names both is stored under the workload it names."""
    server.sql(
        "INSERT INTO pod_cache (workload_uid, pod_name) VALUES ($1, $2)", f"{workload}-x", workload
    )
    send(server, workload, ("loss", 1, 0), pod_name=workload)
    assert server.points(f"{workload}-x") == {}
    assert server.points(workload) == {("loss", 0): 1}


def test_points_of_an_unseen_pod_are_attached_when_it_is_seen(server, workload):
    """Nothing is lost while a pod is unknown; its detection waits with its points."""
    metrics = [{"name": "loss", "value": 1, "step": 0, "timestamp": 5.0}]
    body = {"pod_name": workload, "run_id": "r", "metrics": metrics}
    answer = server.post("/wandb/metrics", body, **{"Idempotency-Key": f"{workload}/1-1"})
    assert answer.json()["pending"] is True
    evidence = {"base_frameworks": {"jax": {"detected": True, "initialized": True}}}
    server.post("/wandb/detection", {"pod_name": workload, "evidence": evidence})
    assert server.points(workload) == {}

    server.sql("INSERT INTO pod_cache (workload_uid, pod_name) VALUES ($1, $1)", workload)
    parked = "SELECT count(*) FROM parked_report WHERE pod_name = $1"
    while server.sql(parked, workload)[0][0]:  # the suite's time limit bounds the wait
        pass
    assert server.points(workload) == {("loss", 0): 1}
    assert server.get(f"/workloads/{workload}").json()["detection"]["framework"] == "jax"
    again = server.post("/wandb/metrics", body, **{"Idempotency-Key": f"{workload}/1-1"})
    assert again.json()["replayed"] is True


def test_parked_report_that_meets_a_bug_holds_up_no_other_pod(server, workload):
    """The others appear; the one appears, before what came later of its run, once it is mended."""
    other = f"{workload}-other"
    server.sql(
        """CREATE FUNCTION meet_a_bug() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'a bug below the route'; END $$"""
    )
    server.sql(
        f"""CREATE TRIGGER bug BEFORE INSERT ON training_performance FOR EACH ROW
        WHEN (NEW.workload_uid = '{workload}' AND NEW.iteration = 1)
        EXECUTE FUNCTION meet_a_bug()"""
    )
    for pod, value, step in ((workload, 1, 0), (workload, 2, 1), (other, 3, 0), (workload, 4, 0)):
        metrics = [{"name": "loss", "value": value, "step": step}]
        server.post("/wandb/metrics", {"pod_name": pod, "run_id": "r", "metrics": metrics})
    server.sql(
        "INSERT INTO pod_cache (workload_uid, pod_name) VALUES ($1, $1), ($2, $2)",
        *(workload, other),
    )

    while not server.points(other):  # the suite's time limit bounds the waits
        pass
    assert server.points(workload) == {("loss", 0): 1}
    server.sql("DROP FUNCTION meet_a_bug CASCADE")
    server.sql("UPDATE parked_report SET retry_at = now() WHERE pod_name = $1", workload)
    while server.sql("SELECT FROM parked_report WHERE pod_name = $1", workload):
        pass
    assert server.points(workload) == {("loss", 0): 4, ("loss", 1): 2}


def test_stream_that_goes_on_without_its_run_is_asked_to_tell_it(server, workload):
    """So it is until it has told; a stream that begins, and a report without a key, are not."""

    def asked(key=None, **said):
        body = {"workload_uid": workload, "run_id": "r", "metrics": [], **said}
        headers = {"Idempotency-Key": f"{workload}/{key}"} if key else {}
        return server.post("/wandb/metrics", body, **headers).json().get("tell_run", False)

    assert asked("1-1", run={"state": "running", "name": "n"}) is False
    assert asked("2-3", run={"group": "g"}) is False
    assert server.sql("DELETE FROM training_run WHERE workload_uid = $1", workload) == []
    point = {"metrics": [{"name": "loss", "value": 1, "step": 0}]}
    assert asked("4-4", **point) is True
    assert asked("5-5", **point) is True
    assert asked(**point) is False
    assert asked(run={"state": "running", "name": "n"}) is False
    assert asked("6-6", **point) is False
    assert server.get(f"/workloads/{workload}").json()["runs"][0]["name"] == "n"


def test_late_word_about_an_earlier_attempt_overrules_nothing(server, workload):
    """A restarted run is running, whatever arrives afterwards about the attempt before it."""

    def say(**run):
        send(server, workload, run=run)
        [known] = server.get(f"/workloads/{workload}").json()["runs"]
        return known["state"], known["exit_code"], known["group"]

    assert say(attempt=10, state="running") == ("running", None, None)
    assert say(attempt=10, state="failed", exit_code=1) == ("failed", 1, None)
    assert say(attempt=20, state="running") == ("running", None, None)
    assert say(attempt=10, state="crashed", exit_code=9, group="g") == ("running", None, "g")
    assert say(attempt=20, state="finished", exit_code=0) == ("finished", 0, "g")


def test_gzip_body_is_read(server, workload):
    """Senders may compress."""
    metrics = [{"name": "loss", "value": i, "step": i} for i in range(1000)]
    body = json.dumps({"workload_uid": workload, "metrics": metrics}).encode()
    answer = httpx.post(
        f"{server.url}/api/v1/wandb/metrics",
        content=gzip.compress(body),
        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
    )
    assert answer.json()["success_count"] == 1000
    assert len(server.points(workload)) == 1000


@pytest.mark.parametrize(
    "content, encoding, status",
    [
        (gzip.compress(b" " * (40 << 20)), "gzip", 413),
        (b"x" * ((8 << 20) + 1), "identity", 413),
        (b"no gzip at all", "gzip", 400),
        (gzip.compress(b"{}")[:-4], "gzip", 400),
        (b"{}", "br", 415),
    ],
    ids=["bomb", "too large", "not gzip", "cut gzip", "brotli"],
)
def test_body_beyond_the_limits_is_refused(server, content, encoding, status):
    """Size, bombs and unknown encodings are answered in words, and nothing is stored."""
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    answer = httpx.post(
        f"{server.url}/api/v1/wandb/metrics", content=content, headers=headers, timeout=30
    )
    assert answer.status_code == status
    assert answer.json()["error"]


def test_chunked_body_without_a_length_is_bounded(server):
    """A sender that never says how much it sends is cut off at the limit."""
    piece = b" " * (1 << 20)
    answer = httpx.post(
        f"{server.url}/api/v1/wandb/metrics",
        content=(piece for _ in range(9)),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 413


def test_foreign_host_is_refused_on_loopback(server):
    """A web page that points its own name at loopback reads nothing."""
    answer = httpx.get(f"{server.url}/api/v1/workloads", headers={"Host": "evil.example:8080"})
    assert answer.status_code == 421


def test_openapi_describes_readers_and_ingest(server):
    """The document names every endpoint of the specification with its body."""
    document = httpx.get(f"{server.url}/openapi.json").json()
    for kind in ("detection", "metrics", "logs", "batch"):
        body = document["paths"][f"/api/v1/wandb/{kind}"]["post"]["requestBody"]
        name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        assert name in document["components"]["schemas"]
    for part in ("sources", "available", "data", "iteration-times"):
        assert f"/api/v1/workloads/{{uid}}/metrics/{part}" in document["paths"]


@pytest.mark.parametrize("path, status", [("/nowhere", 404), ("/api/v1/wandb/metrics", 405)])
def test_wrong_path_or_method_is_told_in_words(server, path, status):
    """Even Starlette's own refusals have our shape."""
    answer = httpx.get(server.url + path)
    assert answer.status_code == status
    assert path in answer.json()["error"]


def test_empty_idempotency_key_is_refused(server, workload):
    """A key that says nothing is wrong, not absent: who sends one means to be stored once."""
    body = {"workload_uid": workload, "metrics": []}
    answer = server.post("/wandb/metrics", body, **{"Idempotency-Key": ""})
    assert answer.status_code == 422


def test_refused_method_names_all_that_are_allowed(server, workload):
    """A path of several methods tells them all."""
    answer = httpx.post(f"{server.url}/api/v1/workloads/{workload}/detection")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "DELETE, GET, PUT"
