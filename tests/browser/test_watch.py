"""What the watch finds, as a reader meets it: on the board, on the workload's page, in its tab."""

import math
import re
import time

import httpx
import pytest
from playwright.sync_api import expect

MARKUP = "<img src=x onerror=window.hit=1>/loss"
WITHIN_S = 60  # the watch looks every five seconds


@pytest.fixture(scope="module")
def troubled(server):
    """Four workloads: no loss at all, ranks that lost theirs, all right, a name full of markup."""
    prefix = f"watch-{time.monotonic_ns()}"
    losses = {
        "nan": {"r": [math.nan] * 40},
        "ranks": {f"k{rank}": [2.0] * 20 + [math.nan] * 4 for rank in range(3)},
        "fine": {"r": [2.0 - i / 100 for i in range(40)]},
        "hostile": {"r": [2.0] * 10 + [math.nan] * 4},
    }
    metrics = {"hostile": MARKUP}
    quiet = {"stall": {"enabled": False}, "throughput_drop": {"enabled": False}}
    for job, runs in losses.items():
        if job != "fine":  # its settings are a test's; the others' silence is none of these tests'
            path = f"{server.url}/api/v1/workloads/{prefix}-{job}/watch"
            httpx.put(path, json={"thresholds": quiet}).raise_for_status()
        for run_id, values in runs.items():
            _report(server, f"{prefix}-{job}", run_id, values, metric=metrics.get(job, "loss"))
    wanted = {(f"{prefix}-nan", "divergence"), (f"{prefix}-ranks", "nonfinite")}
    wanted |= {(f"{prefix}-hostile", "nonfinite")}
    deadline = time.monotonic() + WITHIN_S
    while not wanted <= {(each["workload_uid"], each["kind"]) for each in _open_alerts(server)}:
        assert time.monotonic() < deadline, "the watch found nothing"
    yield prefix
    for job in losses:
        httpx.delete(f"{server.url}/api/v1/workloads/{prefix}-{job}").raise_for_status()


def test_the_strip_tells_what_is_wrong_the_worst_first(page, troubled):
    """Open alerts top the board by name, what diverges first, and lead to their workload."""
    page.goto(f"/?q={troubled}&alerts=all")
    strip = page.get_by_role("region", name="Open alerts")
    ours = strip.get_by_role("listitem").filter(has_text=re.compile("named-(nan|ranks)"))
    expect(ours).to_have_count(3)
    kinds = [item.locator("b").first.inner_text() for item in ours.all()]
    assert kinds == ["diverging", "not finite", "not finite"]
    expect(ours.first).to_contain_text("loss has been NaN since step 0")
    ours.first.get_by_role("link").click()
    expect(page).to_have_url(re.compile(f"/workloads/{troubled}-nan$"))
    expect(page.get_by_role("region", name="Alerts")).to_contain_text("loss has been NaN")


def test_what_many_ranks_suffer_is_told_once(page, troubled):
    """Three ranks whose losses are no numbers are one line that says how many they are."""
    page.goto(f"/?q={troubled}&alerts=all")
    strip = page.get_by_role("region", name="Open alerts")
    ranks = strip.get_by_role("listitem").filter(has_text="named-ranks")
    expect(ranks).to_have_count(1)
    expect(ranks).to_contain_text("3 runs: loss is NaN since step 20")
    page.goto(f"/workloads/{troubled}-ranks")
    told = page.get_by_role("region", name="Alerts").get_by_role("listitem")
    expect(told).to_have_count(1)
    expect(told).to_contain_text("3 runs")


def test_a_row_says_what_else_is_wrong_and_draws_a_loss_of_nothing_but_nan(page, troubled):
    """Beside how long a workload diverges stands the other alert; all its loss are red feet."""
    page.goto(f"/?q={troubled}-nan")
    row = page.locator(".board tbody tr", has=page.get_by_role("link", name="named-nan"))
    expect(row.locator(".state")).to_have_text("diverged")
    mark = row.locator(".alert-mark")
    expect(mark).to_have_text(re.compile(r"^\s*for \d+ (s|min), also not finite$"))
    assert mark.get_attribute("title").count("\n") == 1
    expect(row.locator("svg .holes")).to_have_attribute("d", re.compile(r"^(M[\d. ]+v-5){32}$"))
    expect(row.locator("svg .curve")).to_have_count(0)


def test_alerts_are_silenced_on_the_page_and_told_again(page, server, troubled):
    """A silence takes the alerts from page and board, says until when, and is ended by a press."""
    uid = f"{troubled}-nan"
    page.goto(f"/workloads/{uid}")
    own = page.get_by_role("region", name="Alerts")
    expect(own.get_by_role("listitem")).to_have_count(2)
    page.get_by_label("Silence the alerts").select_option("for an hour")
    expect(own).to_contain_text("No open alerts")
    expect(own).to_contain_text("all silent until")
    assert not [each for each in _open_alerts(server) if each["workload_uid"] == uid]
    page.get_by_role("button", name="Tell again").click()
    expect(own.get_by_role("listitem")).to_have_count(2)
    assert len([each for each in _open_alerts(server) if each["workload_uid"] == uid]) == 2


def test_one_kind_is_silenced_and_the_history_keeps_it(page, troubled):
    """Of a silenced kind nothing is told, but the tab of the watch lists it as silenced."""
    page.goto(f"/workloads/{troubled}-nan?tab=watch")
    page.get_by_label("not finite").first.check()
    page.get_by_role("button", name="Silence", exact=True).click()
    own = page.get_by_role("region", name="Alerts")
    expect(own.get_by_role("listitem")).to_have_count(1)
    expect(own).to_contain_text("not finite silent until")
    expect(own).to_contain_text("diverging")
    rows = page.locator(".told tbody tr")
    expect(rows.filter(has_text="silenced")).to_have_count(1)
    page.get_by_role("region", name="Watch").get_by_role("button", name="Tell again").click()
    expect(own.get_by_role("listitem")).to_have_count(2)
    expect(rows.filter(has_text="silenced")).to_have_count(0)


def test_thresholds_are_set_for_one_workload_and_given_back(page, server, troubled):
    """What is typed holds for this workload alone, is marked as its own, and can be given back."""
    path = f"{server.url}/api/v1/workloads/{troubled}-fine/watch"
    page.goto(f"/workloads/{troubled}-fine?tab=watch")
    form = page.get_by_role("form", name="Thresholds")
    form.locator("[name='loss_spike.k']").fill("6.5")
    form.locator("[name='divergence.exclude']").fill("*eval*, *aux*")
    form.locator("[name='stall.enabled']").uncheck()
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_role("status")).to_contain_text("Saved")
    assert httpx.get(path).json()["thresholds"] == {
        "loss_spike": {"k": 6.5},
        "divergence": {"exclude": ["*eval*", "*aux*"]},
        "stall": {"enabled": False},
    }
    expect(form.locator(".own")).to_have_count(2)
    form.get_by_role("button", name=re.compile("^The server.s again")).click()
    expect(form.locator("[name='loss_spike.k']")).to_have_value("8")
    expect(form.locator(".own")).to_have_count(0)
    assert httpx.get(path).json()["thresholds"] == {}


def test_a_threshold_that_cannot_be_is_refused_in_words(page, server, troubled):
    """A word where a number belongs is refused by the server, which names the place."""
    page.goto(f"/workloads/{troubled}-fine?tab=watch")
    form = page.get_by_role("form", name="Thresholds")
    form.locator("[name='stall.k']").fill("soon")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_role("alert")).to_contain_text("thresholds.stall.k")
    expect(form.locator("[name='stall.k']")).to_have_value("soon")
    path = f"{server.url}/api/v1/workloads/{troubled}-fine/watch"
    assert httpx.get(path).json()["thresholds"] == {}


def test_an_alert_about_a_hostile_name_is_text(page, troubled):
    """A metric's name full of markup runs nothing where the alert about it is told."""
    page.goto(f"/?q={troubled}&alerts=all")
    strip = page.get_by_role("region", name="Open alerts")
    expect(strip.get_by_role("listitem").filter(has_text=f"{MARKUP} is NaN")).to_have_count(1)
    page.goto(f"/workloads/{troubled}-hostile?tab=watch")
    expect(page.locator(".told")).to_contain_text(f"{MARKUP} is NaN")
    expect(page.get_by_role("region", name="Alerts")).to_contain_text(MARKUP)
    assert page.locator("main img").count() == 0
    assert page.evaluate("window.hit") is None


def _report(server, uid, run_id, values, metric="loss"):
    now = time.time()
    points = [
        {
            "name": metric,
            "step": i,
            "value": "NaN" if math.isnan(value) else value,
            "timestamp": now - len(values) + i,
        }
        for i, value in enumerate(values)
    ]
    run = {"name": f"named-{uid.rpartition('-')[2]}", "state": "running"}
    body = {"workload_uid": uid, "run_id": run_id, "run": run, "metrics": points}
    assert server.post("/wandb/metrics", body).status_code == 200


def _open_alerts(server):
    return httpx.get(f"{server.url}/api/v1/alerts?state=open").json()["alerts"]
