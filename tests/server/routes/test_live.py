"""Live streams: what is new comes once, over cuts, between processes, until the server drains."""

import random
import threading

import httpx
import pytest
import sse


def live(server, workload, **parameters):
    """The address of a workload's stream."""
    query = httpx.QueryParams(parameters)
    return f"{server.url}/api/v1/workloads/{workload}/live?{query}"


def report(server, workload, *rows, run_id="r", **facts):
    """Report (step, metrics) rows at the time of their step; the answer must be 200."""
    metrics = [
        {"name": name, "value": value, "step": step, "timestamp": 1.7e9 + step}
        for step, named in rows
        for name, value in named.items()
    ]
    body = {"workload_uid": workload, "run_id": run_id, "metrics": metrics}
    answer = server.post("/wandb/metrics", body | ({"run": facts} if facts else {}))
    assert answer.status_code == 200, answer.text


def test_only_what_is_new_comes_as_columns(server, workload):
    """A stream begins now; what is stored afterwards comes with its step, time, value and run."""
    report(server, workload, (1, {"loss": 1}))
    with sse.following(live(server, workload)) as stream:
        assert stream.answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert "content-encoding" not in stream.answer.headers
        report(server, workload, (2, {"loss": "NaN", "acc": 0.5}), (3, {"loss": 3}))
        series = stream.next("points")["series"]
    run = {"data_source": "wandb", "serial": 1, "run_id": "r"}
    assert series == [
        {"metric": "acc", **run, "step": [2], "time": [1700000002000], "value": [0.5]},
        {
            "metric": "loss",
            **run,
            "step": [2, 3],
            "time": [1700000002000, 1700000003000],
            "value": ["NaN", 3.0],
        },
    ]


def test_only_asked_metrics_come(server, workload):
    """With metric= other metrics stay away, also names that hold commas or are escaped."""
    with sse.following(f"{live(server, workload, metric='a,b')}&metric=step") as stream:
        report(server, workload, (1, {"loss": 1}))
        report(server, workload, (2, {"loss": 1, "a,b": 2, "step": 7}))
        told = sse.points(stream.next("points"))
    assert sorted(told) == [("a,b", 1, 2, 2.0), ("step", 1, 2, 7.0)]


def test_who_follows_some_metrics_is_told_once_that_there_is_another(server, workload):
    """News of a metric beside those asked for is a word about the workload, the first time."""
    report(server, workload, (1, {"loss": 1}))
    with sse.following(live(server, workload, metric="loss")) as stream:
        report(server, workload, (2, {"accuracy": 1}))
        assert stream.next("workload")["workload_uid"] == workload
        report(server, workload, (3, {"accuracy": 1, "loss": 1}))
        told = next(told for told in stream if told.kind)
    assert (told.kind, sse.points(told.data)) == ("points", [("loss", 1, 3, 1.0)])


def test_late_filled_and_overwritten_points_come(server, workload):
    """What comes behind newer steps, joins a step or replaces a value is new, what stays is not."""
    report(server, workload, (1, {"loss": 1}), (5, {"loss": 5}))
    with sse.following(live(server, workload)) as stream:
        report(server, workload, (3, {"loss": 3}))
        assert sse.points(stream.next("points")) == [("loss", 1, 3, 3.0)]
        report(server, workload, (1, {"acc": 9}))
        assert sse.points(stream.next("points")) == [("acc", 1, 1, 9.0)]
        report(server, workload, (5, {"loss": 50}))
        assert sse.points(stream.next("points")) == [("loss", 1, 5, 50.0)]


def test_every_point_comes_once_over_cuts(server, workload):
    """While two runs report, a reader that is cut and comes back gets each point exactly once."""
    steps, told, place = 150, [], ""

    def produce(run_id):
        order = random.Random(run_id)  # neighbours change places: some steps come late
        for first in range(0, steps, 3):
            rows = [(step, {"loss": step}) for step in range(first, first + 3)]
            order.shuffle(rows)
            for row in rows:
                report(server, workload, row, run_id=run_id)

    report(server, workload, (steps, {"begin": 1}), run_id="a")
    report(server, workload, (steps, {"begin": 1}), run_id="b")
    with sse.following(live(server, workload, metric="loss")) as stream:
        place = stream.place
    writers = [threading.Thread(target=produce, args=[run_id]) for run_id in "ab"]
    for writer in writers:
        writer.start()
    cuts = random.Random(7)
    while len(told) < 2 * steps:
        with sse.following(live(server, workload, metric="loss"), place=place) as stream:
            for _ in range(cuts.randint(1, 6)):
                told += sse.points(stream.next("points"))
                place = stream.place
                if len(told) >= 2 * steps:
                    break
    for writer in writers:
        writer.join()
    assert sorted(told) == [("loss", s, step, float(step)) for s in (1, 2) for step in range(steps)]


def test_answer_with_curves_tells_where_to_go_on(server, workload):
    """The cursor of a columns answer, given as after=, leads on from there without a hole."""
    report(server, workload, (1, {"loss": 1}))
    path = f"/workloads/{workload}/metrics/data"
    cursor = server.get(path, format="columns").json()["cursor"]
    report(server, workload, (2, {"loss": 2}))
    with sse.following(live(server, workload, after=cursor)) as stream:
        assert sse.points(stream.next("points")) == [("loss", 1, 2, 2.0)]


def test_backlog_of_many_transactions_comes_whole(server, workload):
    """A reader that was away for more transactions than one look reads gets them all, in order."""
    report(server, workload, (0, {"loss": 0}))
    with sse.following(live(server, workload)) as stream:
        place = stream.place
    for step in range(1, 150):
        report(server, workload, (step, {"loss": step}))
    told = []
    with sse.following(live(server, workload), place=place) as stream:
        while len(told) < 149:
            told += [step for _, _, step, _ in sse.points(stream.next("points"))]
    assert told == list(range(1, 150))


def test_reader_is_told_to_read_anew_when_changes_are_forgotten(server, workload):
    """Who was away for longer than changes are kept is told so, and then what is new."""
    report(server, workload, (1, {"loss": 1}))
    with sse.following(live(server, workload)) as stream:
        place = stream.place
    report(server, workload, (2, {"loss": 2}))
    report(server, workload, (3, {"loss": 3}))
    server.sql("DELETE FROM run_change WHERE workload_uid = $1 AND version = 2", workload)
    with sse.following(live(server, workload), place=place) as stream:
        assert next(told.kind for told in stream if told.kind != "workload") == "reset"
        report(server, workload, (4, {"loss": 4}))
        assert sse.points(stream.next("points")) == [("loss", 1, 4, 4.0)]


def test_runs_are_told_when_they_change(server, workload):
    """One run more and an end are told; a new step alone is not."""
    report(server, workload, (1, {"loss": 1}), state="running")
    with sse.following(live(server, workload)) as stream:
        report(server, workload, (2, {"loss": 2}))
        report(server, workload, run_id="r", state="finished", exit_code=0)
        first = stream.next("workload")
        report(server, workload, (1, {"loss": 1}), run_id="again", state="running")
        second = stream.next("workload")
    assert [run["state"] for run in first["runs"]] == ["finished"]
    assert [(run["serial"], run["state"]) for run in second["runs"]] == [
        (1, "finished"),
        (2, "running"),
    ]


@pytest.mark.parametrize("cursor", ["!", "eA", "W10x"])
def test_foreign_cursor_is_refused(server, workload, cursor):
    """A place this server never gave answers 400."""
    answer = httpx.get(live(server, workload, after=cursor))
    assert answer.status_code == 400
    assert answer.json()["code"] == "bad_query"


def test_rows_of_the_fleet_that_change_are_told(server, workload):
    """A report moves its workload's row; a deletion is told; who comes back is told every row."""
    url = f"{server.url}/api/v1/fleet/live"
    report(server, workload, (1, {"loss": 1}), name="x", state="running")
    with sse.following(url) as stream:
        report(server, workload, (2, {"loss": 2}))
        row = own(stream, workload)
        place = stream.place
    assert (row["last_step"], row["loss"]) == (2, {"metric": "loss", "value": 2})
    with sse.following(url, place=place) as stream:
        assert own(stream, workload) == row
        assert httpx.delete(f"{server.url}/api/v1/workloads/{workload}").status_code == 200
        while workload not in stream.next("workloads")["removed"]:
            pass


def own(stream, workload):
    """The first row of a workload that a stream of the fleet tells."""
    while True:
        for row in stream.next("workloads")["workloads"]:
            if row["workload_uid"] == workload:
                return row


def test_points_pass_from_one_process_to_another(make_server, database_dsn, workload):
    """What one process stores, another that only reads tells at once, also of the fleet."""
    config = f"metrics: {{prometheus: {{enabled: false}}}}\ndatabase: {{dsn: '{database_dsn}'}}\n"
    writing = make_server(config, "--role", "processor").start()
    reading = make_server(config, "--role", "api").start()
    report(writing, workload, (1, {"loss": 1}))
    with (
        sse.following(live(reading, workload)) as stream,
        sse.following(f"{reading.url}/api/v1/fleet/live") as fleet,
    ):
        report(writing, workload, (2, {"loss": 2}))
        assert sse.points(stream.next("points")) == [("loss", 1, 2, 2.0)]
        assert own(fleet, workload)["last_step"] == 2
        assert writing.stop() == 0
        assert reading.stop() == 0
        assert [told.kind for told in stream] == []  # ended, not cut
        assert [told.kind for told in fleet if told.data["workloads"]] == []


def test_revoked_token_ends_its_streams(guarded_server, make_token, workload):
    """A stream ends within seconds after its token was revoked; coming back answers 401."""
    text = make_token("read")
    bearer = {"Authorization": f"Bearer {text}"}
    url = live(guarded_server, workload)
    with sse.following(url, **bearer) as stream:
        revoke = "UPDATE api_token SET revoked_at = now() WHERE id = $1"
        guarded_server.sql(revoke, text.split("_")[1])
        assert [told.kind for told in stream] == []
    assert httpx.get(url, headers=bearer).status_code == 401
