"""The fleet as readers ask for it: pace, progress, states, filters, order, counts."""

import asyncio
import time

import chunk_reading as reading
import pytest

from primus_lens.model import errors
from primus_lens.store import inventory

STEPS = 40


def tell(server, uid, *points, run_id="r", **facts):
    """Report (step, at, metrics) rows and what the run says of itself."""
    metrics = [
        {"name": name, "value": value, "step": step, "timestamp": at}
        for step, at, named in points
        for name, value in named.items()
    ]
    body = {"workload_uid": uid, "run_id": run_id, "metrics": metrics, "run": facts}
    answer = server.post("/wandb/metrics", body)
    assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def fleet(server):
    """Workloads of this file's own project: their uids by a word for each."""
    now = time.time()
    uid = {word: f"fleet-{word}-{now:.0f}" for word in ("fast", "ended", "silent", "mute", "lost")}
    rows = [(n, now - STEPS + n, {"loss": 10 - n / 10, "lr": 1e-3}) for n in range(STEPS)]
    tell(
        server, uid["fast"], *rows, state="running", name="Alpha", project="fleet",
        config={"trainer": {"max_steps": 100}},
    )  # fmt: skip
    tell(
        server, uid["ended"], (9, now, {"eval/loss": "NaN", "target_iteration": 10}),
        state="finished", name="beta", project="fleet",
    )  # fmt: skip
    for word in ("silent", "lost"):
        tell(server, uid[word], *rows, state="running", name=word, project="fleet")
    tell(server, uid["mute"], name="gamma", project="fleet")
    server.sql(
        "UPDATE run_last SET received_at = now() - interval '1 hour' WHERE workload_uid = ANY($1)",
        [uid["silent"], uid["lost"]],
    )
    server.sql(
        "UPDATE training_run SET first_seen = now() - interval '2 hours' "
        "WHERE workload_uid = ANY($1)",
        [uid["silent"], uid["lost"]],
    )
    tell(server, uid["lost"], (50, now, {"loss": 1}), run_id="again", state="running", name="lost")
    return uid


def asked(server, fleet, **parameters):
    """The page of this file's workloads, by word; the answer beside it."""
    page = server.get("/workloads", **{"regex": "^fleet-", **parameters}).json()
    words = {uid: word for word, uid in fleet.items()}
    return {words[row["workload_uid"]]: row for row in page["workloads"]}, page


def test_row_tells_pace_progress_and_loss(server, fleet):
    """A row has the job's rate, its target by the config, the time left, the newest losses."""
    rows, _ = asked(server, fleet)
    row = rows["fast"]
    assert (row["state"], row["name"], row["last_step"]) == ("running", "Alpha", 39)
    assert (row["target_step"], row["progress"]) == (100, 0.39)
    assert row["step_rate"] == pytest.approx(1.0, rel=1e-3)
    assert row["eta_s"] == pytest.approx(61.0, rel=1e-3)
    assert row["loss"] == {"metric": "loss", "value": 6.1}
    assert row["sparkline"] == [10 - n / 10 for n in range(8, 40)]
    assert row["alerts"] == []


def test_ended_and_mute_rows(server, fleet):
    """A finished job is whole; NaN is a gap in the sparkline; a job without points has no pace."""
    rows, _ = asked(server, fleet)
    assert (rows["ended"]["state"], rows["ended"]["progress"]) == ("finished", 1.0)
    assert rows["ended"]["eta_s"] is None
    assert rows["ended"]["sparkline"] == [None]
    assert rows["ended"]["loss"] == {"metric": "eval/loss", "value": "NaN"}
    mute = rows["mute"]
    assert (mute["state"], mute["loss"], mute["sparkline"]) == ("unknown", None, [])
    assert (mute["step_rate"], mute["progress"], mute["last_step"]) == (None, None, None)


def test_silent_run_is_stalled_and_crashed_once_another_began(server, fleet):
    """Nothing for an hour is a stall; where a later attempt began, the earlier one has crashed."""
    rows, _ = asked(server, fleet)
    assert rows["silent"]["state"] == "stalled"
    assert (rows["lost"]["state"], rows["lost"]["run_id"]) == ("running", "again")
    runs = server.get(f"/workloads/{fleet['lost']}").json()["runs"]
    assert [run["state"] for run in runs] == ["crashed", "running"]


def test_facets_count_where_the_other_filters_hold(server, fleet):
    """A facet's own filter leaves its counts alone; other filters do not."""
    _, page = asked(server, fleet, state=["running", "stalled"])
    assert page["total_count"] == 3
    assert page["facets"]["state"] == {"running": 2, "finished": 1, "stalled": 1, "unknown": 1}
    assert page["facets"]["framework"] == {"": 3}
    assert page["facets"]["namespace"] == {"": 3}


@pytest.mark.parametrize(
    "sort, order",
    [
        ("name", ["fast", "ended", "mute", "lost", "silent"]),
        ("-name", ["silent", "lost", "mute", "ended", "fast"]),
        ("progress", ["ended", "fast"]),
        ("-progress", ["fast", "ended"]),
        ("-last_step", ["ended", "fast", "silent", "lost", "mute"]),
        ("trouble", ["silent", "mute", "ended"]),
    ],
)
def test_order(server, fleet, sort, order):
    """Names ascend, figures descend, "-" turns round; who has no figure comes last either way."""
    if sort == "-last_step":
        order = ["ended", "fast", "lost", "mute"]
        rows, _ = asked(server, fleet, sort=sort, regex="^fleet-(ended|fast|lost|mute)")
        assert list(rows) == order
        return
    # The watch may raise an alert for a running one in between, which is trouble, too.
    only = "^fleet-(silent|mute|ended)" if sort == "trouble" else "^fleet-"
    rows, _ = asked(server, fleet, sort=sort, regex=only)
    assert list(rows)[: len(order)] == order


def test_text_and_pattern_are_sought_in_names_whatever_the_case(server, fleet):
    """A plain text and a pattern both look at the run's name, too."""
    rows, _ = asked(server, fleet, regex="", q="ALPHA")
    assert list(rows) == ["fast"]
    rows, page = asked(server, fleet, regex="^(alpha|BETA)$", q="e", limit=1, sort="name")
    assert (list(rows), page["total_count"]) == (["fast"], 2)


@pytest.mark.parametrize(
    "pattern, words",
    [("(", "parentheses"), ("a" * 201, "at most 200 characters"), ("a\x00", "regex")],
)
def test_bad_pattern_is_refused_in_words(server, pattern, words):
    """A pattern that is none answers 400 and says what is wrong."""
    answer = server.get("/workloads", regex=pattern)
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == "bad_query"
    assert words in answer.json()["error"]


def test_pattern_that_takes_too_long_is_cancelled(database_dsn):
    """PostgreSQL gives up on a pattern at its limit, and the connection goes on."""

    async def scenario():
        async with reading.opened(database_dsn) as database:
            texts = ["a" * 200] * 20_000
            with pytest.raises(errors.TookTooLong, match="gave up on a statement"):
                async with database.connection() as connection:
                    await inventory.matching(connection, texts, r"(a*)*(a*)*\1\2b", within_ms=5)
            async with database.connection() as connection:
                return await inventory.matching(connection, ["b", "A"], "a", within_ms=5_000)

    assert asyncio.run(scenario()) == [1]


def test_unknown_order_is_refused(server):
    """A sort that does not exist answers 400."""
    answer = server.get("/workloads", sort="colour")
    assert answer.status_code == 400
    assert answer.json()["detail"][0]["field"] == "sort"
