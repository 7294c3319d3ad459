"""The page of a workload while its job runs: news come by themselves, and only news."""

import re

import httpx
from playwright.sync_api import expect

HIDE = """() => {
  Object.defineProperty(document, "hidden", { value: HIDDEN, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_news_are_laid_at_the_end_without_asking_again(page, report, workload):
    """Points logged while the page is open are drawn from the stream; no curve is fetched anew."""
    report(workload, {"loss": [3.0, 2.0]})
    _, fetched = _opened(page, f"/workloads/{workload}")
    fetched.clear()
    for step in range(2, 8):
        report(workload, {"loss": [float(step)]}, first=step)
        expect(_card(page).locator(".latest")).to_have_text(str(step))
    expect(_card(page).locator("footer")).to_have_text("8 points")
    expect(page.locator(".marks-of-head")).to_contain_text("step 7")
    assert fetched == []


def test_a_live_point_lands_in_a_zoomed_stretch_only_if_it_lies_there(page, report, workload):
    """While zoomed, news beyond the stretch are neither drawn nor counted."""
    report(workload, {"loss": [float(step) for step in range(20)]})
    _opened(page, f"/workloads/{workload}?from=5&to=25")
    report(workload, {"loss": [77.0]}, first=20)
    expect(_card(page).locator(".latest")).to_have_text("77")
    report(workload, {"loss": [88.0]}, first=90)
    expect(page.locator(".marks-of-head")).to_contain_text("step 90")
    expect(_card(page).locator("footer")).to_have_text("16 points · zoomed")
    expect(_card(page).locator(".plot")).to_have_attribute(
        "aria-label", re.compile(r"highest 77\b")
    )


def test_news_that_overtake_an_answer_are_not_lost(page, report, workload):
    """A point told while an older answer is still on its way is drawn after it all the same."""
    report(workload, {"loss": [3.0, 2.0]})
    _opened(page, f"/workloads/{workload}")
    held = []

    def hold(route):
        known = {name: text for name, text in route.request.headers.items() if "match" not in name}
        held.append((route, route.fetch(headers=known)))

    page.route("**/metrics/data?**", hold)
    with page.expect_request("**/metrics/data?**"):
        page.evaluate("dispatchEvent(new Event('online'))")
    while not held:
        page.wait_for_timeout(20)
    report(workload, {"loss": [0.25]}, first=2)
    expect(_card(page).locator(".latest")).to_have_text("0.25")
    [(route, answer)] = held
    body = answer.json()
    assert body["series"][0]["value"] == [3.0, 2.0]
    with page.expect_response("**/metrics/data?**"):
        route.fulfill(json=body, headers={"ETag": '"older"'})
    page.mouse.move(0, 0)
    expect(_card(page).locator("footer")).to_have_text("3 points")
    expect(_card(page).locator(".latest")).to_have_text("0.25")
    assert len(held) == 1


def test_a_page_opened_before_the_first_number_fills_by_itself(page, server, report, workload):
    """A workload known by its framework alone gets its chart with the first points."""
    body = {"source": "wandb", "type": "framework_detection_raw", "version": "1.0"}
    said = {**body, "workload_uid": workload, "evidence": {}, "timestamp": 1.7e9}
    httpx.post(f"{server.url}/api/v1/wandb/detection", json=said).raise_for_status()
    page.goto(f"/workloads/{workload}")
    expect(page.get_by_role("heading", name="No metrics yet")).to_be_visible()
    expect(page.locator(".pulse")).to_have_text("live")
    report(workload, {"loss": [3.0]})
    report(workload, {"loss": [2.0]}, first=1)
    expect(_card(page).locator(".latest")).to_have_text("2")
    report(workload, {"accuracy": [0.5]}, first=2)
    report(workload, {"loss": [1.5]}, first=3)
    expect(_card(page).locator(".latest")).to_have_text("1.5")


def test_a_hidden_tab_asks_for_nothing_and_catches_up(page, report, workload):
    """Hidden, the page gives its stream back; seen again, it has what came meanwhile."""
    report(workload, {"loss": [3.0]})
    streams, fetched = _opened(page, f"/workloads/{workload}")
    page.evaluate(HIDE.replace("HIDDEN", "true"))
    expect(page.locator(".pulse")).to_have_text("paused")
    streams.clear()
    fetched.clear()
    report(workload, {"loss": [0.5]}, first=1)
    assert (streams, fetched) == ([], [])
    page.evaluate(HIDE.replace("HIDDEN", "false"))
    expect(_card(page).locator(".latest")).to_have_text("0.5")
    expect(page.locator(".pulse")).to_have_text("live")


def test_a_server_that_went_away_is_said_and_found_again(page, reporter, make_server):
    """Without its server the page says so and keeps what it has; it goes on when it is back."""
    own = make_server().start()
    reporter(own)("away", {"loss": [3.0, 2.0]})
    page.clock.install()
    page.goto(f"{own.url}/workloads/away")
    expect(page.locator(".pulse")).to_have_text("live")
    own.stop()
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached")
    expect(_card(page).locator("canvas")).to_be_visible()
    page.clock.pause_at(page.evaluate("Date.now() + 10_000"))  # else it tries again by itself
    own.start()
    page.get_by_role("button", name="Try now").click()
    page.clock.resume()
    expect(page.locator(".pulse")).to_have_text("live")
    reporter(own)("away", {"loss": [0.25]}, first=2)
    expect(_card(page).locator(".latest")).to_have_text("0.25")


def _opened(page, path):
    """Open a page and wait until it follows what it shows and has caught up with it.

    Returns the addresses of the streams and of the curves that it asks for, growing.
    """
    streams, fetched = [], []

    def note(request):
        if "/live?" in request.url:
            streams.append(request.url)
        elif "/metrics/data?" in request.url:
            fetched.append(request.url)

    def has_caught_up(response):
        return "/metrics/data?" in response.url and any("metric=" in url for url in streams)

    page.on("request", note)
    with page.expect_response(has_caught_up):
        page.goto(path)
    expect(_card(page).locator("canvas")).to_be_visible()
    expect(page.locator(".pulse")).to_have_text("live")
    return streams, fetched


def _card(page):
    return page.locator('article[data-metric="loss"]')
