"""Data and moments out of the ordinary: extreme values, many metrics, things that vanish."""

import math
import re
import time

import httpx
import painting
import pytest
from playwright.sync_api import expect

from primus_lens.store import tokens

NAN = math.nan
STRIP = """(card) => {
  const canvas = card.querySelector("canvas");
  const at = canvas.getBoundingClientRect();
  const over = card.querySelector(".u-over").getBoundingClientRect();
  const scale = canvas.width / at.width;
  const width = Math.round((over.left - at.left - 4) * scale);
  const height = Math.round(over.height * scale);
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  let written = 0;
  for (let i = 3; i < data.length; i += 4) if (data[i] > 100) written += 1;
  return written;
}"""  # how many pixels left of the plot are written on


@pytest.mark.parametrize(
    "values, ticks",
    [
        ([1e300 * (1 + i / 50) for i in range(100)], "3e300"),
        ([1e-300 * (1 + i / 50) for i in range(100)], "3e-300"),
        ([-1.7e308, 1.7e308], None),
        ([5e-324, 1e-323], None),
        ([5.0] * 100, "5.0"),
        ([1e9 + i / 1000 for i in range(100)], None),
    ],
    ids=["huge", "tiny", "all there is", "the least there is", "constant", "narrow"],
)
def test_values_of_any_size_have_a_chart_with_an_axis(page, report, workload, values, ticks):
    """Whatever the size of the values, the chart is drawn and its axis is labelled."""
    report(workload, {"loss": values})
    page.goto(f"/workloads/{workload}")
    expect(_card(page, "loss").locator("canvas")).to_be_visible()
    expect(_card(page, "loss").locator("footer")).to_contain_text(f"{len(values)} points")
    if ticks:
        painting.settle(page)
        assert _card(page, "loss").evaluate(STRIP) > 60
        assert ticks in _labels(page, min(values), max(values))
    page.keyboard.press("l")
    expect(page).to_have_url(re.compile("y=log"))
    expect(_card(page, "loss").locator("canvas")).to_be_visible()


def test_nothing_but_nan_and_nothing_above_zero_are_said(page, report, workload):
    """A metric that was never a number, and one that a log axis cannot show, say so in words."""
    report(workload, {"never": [NAN] * 30, "below": [-1.0] * 30, "once": [4.0]})
    page.goto(f"/workloads/{workload}?y=log")
    expect(_card(page, "never").locator("footer")).to_have_text("30 points · 30 NaN")
    expect(_card(page, "never").locator(".latest")).to_have_text("NaN")
    expect(_card(page, "never").locator(".mark.nan").first).to_be_visible()
    expect(_card(page, "below").locator("footer")).to_have_text(
        "30 points · 30 not above 0, off the log axis"
    )
    expect(_card(page, "once").locator("footer")).to_have_text("1 point")


def test_hundreds_of_metrics_with_the_longest_names_stay_usable(page, report, workload):
    """500 metrics of 255 characters: nothing is wider than the window, the filter finds one."""
    names = [f"group_{i % 9}/{i:03}_{'x' * 243}" for i in range(500)]
    report(workload, {name: [1.0, 2.0] for name in names})
    page.goto(f"/workloads/{workload}")
    expect(page.locator("[data-metric]")).to_have_count(500)
    assert page.locator("[data-metric] canvas").count() < 60
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#filter").fill("/333_")
    expect(page.locator("[data-metric]")).to_have_count(1)
    expect(page.locator("[data-metric] h3")).to_have_attribute("title", names[333])
    expect(page.locator("[data-metric] canvas")).to_be_visible()


def test_restarts_that_overlap_are_one_band(page, report, workload):
    """Ranks that restart together shade their steps once, and say how often they were run."""
    for rank in range(3):
        for attempt in range(2):
            values = [float(rank + attempt)] * 30
            report(workload, {"loss": values}, run_id=f"k{rank}", first=10 * attempt)
    page.goto(f"/workloads/{workload}")
    band = _card(page, "loss").locator(".band")
    expect(band).to_have_count(1)
    title = band.get_attribute("title")
    assert title == (
        "Restarted: steps 10 to 29 were run again; the overwritten attempts are drawn faintly"
    )


def test_restarts_that_lie_apart_are_bands_apart(page, report, workload):
    """What ran once, between two restarts, is not shaded as if it had been run again."""
    for first, last in ((0, 60), (40, 120), (100, 150)):
        values = [float(first)] * (last - first)
        report(workload, {"loss": values}, first=first)
    page.goto(f"/workloads/{workload}")
    bands = _card(page, "loss").locator(".band")
    expect(bands).to_have_count(2)
    assert [band.get_attribute("title").split(" were")[0] for band in bands.all()] == [
        "Restarted: steps 40 to 59",
        "Restarted: steps 100 to 119",
    ]


def test_a_workload_deleted_while_it_is_looked_at_is_said(page, server, report, workload):
    """What was known stays with the word that it is gone; a new report brings the page back."""
    report(workload, {"loss": [3.0, 2.0]})
    page.goto(f"/workloads/{workload}")
    expect(_card(page, "loss").locator("canvas")).to_be_visible()
    expect(page.locator(".pulse")).to_have_text("live")
    httpx.delete(f"{server.url}/api/v1/workloads/{workload}").raise_for_status()
    page.evaluate("dispatchEvent(new Event('online'))")  # as after a walk: it looks at once
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("It was deleted: the server does not know it any more.")
    expect(page.get_by_role("heading", name=workload)).to_be_visible()
    report(workload, {"loss": [0.25]})
    expect(alert).to_have_count(0)
    expect(_card(page, "loss").locator(".latest")).to_have_text("0.25")


def test_a_restarted_server_is_found_again_by_the_board(page, reporter, make_server):
    """While its server is away the board says so and keeps its rows; then it goes on by itself."""
    own = make_server().start()
    reporter(own)("restarted", {"loss": [3.0]})
    page.goto(own.url)
    expect(page.locator(".pulse")).to_have_text("live")
    own.stop()
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached")
    expect(page.locator(".pulse")).to_have_text("not up to date")
    expect(page.get_by_role("link", name="restarted")).to_be_visible()
    own.start()
    expect(page.locator(".pulse")).to_have_text("live", timeout=40_000)
    expect(page.get_by_role("alert")).to_have_count(0)
    reporter(own)("restarted", {"loss": [0.125]}, first=1)
    expect(page.locator(".board td.loss")).to_contain_text("0.125")


@pytest.mark.parametrize("path", ["/", "/workloads/any", "/compare"])
def test_a_page_that_did_not_arrive_whole_says_so(page, path):
    """When a module is missing, for the server went, the page says it and offers another try."""
    page.route("**/static/say.js", lambda route: route.abort())
    page.goto(path)
    expect(page.get_by_role("alert")).to_contain_text("This page did not arrive whole")
    page.unroute("**/static/say.js")
    page.get_by_role("link", name="Load it again").click()
    expect(page.get_by_role("link", name="Primus Lens")).to_be_visible()


def test_what_is_typed_survives_the_news(page, report, workload):
    """A form that is being filled in keeps its text while the job reports."""
    report(workload, {"loss": [3.0]})
    page.goto(f"/workloads/{workload}?tab=framework")
    page.get_by_label("Wrapper").fill("light")
    expect(page.locator(".pulse")).to_have_text("live")
    for step in (1, 2):
        report(workload, {"loss": [2.0]}, first=step)
        expect(page.locator(".marks-of-head")).to_contain_text(f"step {step}")
    expect(page.get_by_label("Wrapper")).to_have_value("light")


def test_a_token_revoked_while_a_workload_is_looked_at_asks_for_another(
    chromium, guarded_server, make_token, workload
):
    """The workload's page hides what it showed, and shows it again to a new token."""
    body = {"workload_uid": workload, "metrics": [{"name": "loss", "value": 0.5, "step": 1}]}
    said = {"Authorization": f"Bearer {make_token('ingest')}"}
    assert guarded_server.post("/wandb/metrics", body, **said).status_code == 200
    token = make_token("read")
    context = chromium.new_context(base_url=guarded_server.url)
    page = context.new_page()
    page.goto(f"/workloads/{workload}")
    _sign_in(page, token)
    expect(_card(page, "loss").locator("canvas")).to_be_visible()
    guarded_server.at_database(
        lambda database: tokens.revoke(database, token.split("_")[1], now=time.time())
    )
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(_card(page, "loss")).to_have_count(0)
    _sign_in(page, make_token("read"))
    expect(_card(page, "loss").locator("canvas")).to_be_visible()
    context.close()


def _sign_in(page, token):
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def _labels(page, low, high):
    """What the vertical axis of a chart of such values is labelled with."""
    return page.evaluate(
        """async ([low, high]) => {
          const { airy, yAxis } = await import("/static/axes.js");
          const axis = yAxis(false, () => "");
          const [min, max] = airy(low, high, false);
          axis.incrs(null, 1, min, max, 176, 32);
          return axis.values(null, axis.splits(null, 1, min, max));
        }""",
        [low, high],
    )


def _card(page, metric):
    return page.locator(f'article[data-metric="{metric}"]')
