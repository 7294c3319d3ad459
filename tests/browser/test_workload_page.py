"""The page of one workload: curves, marks, switches, zoom."""

import math
import re

import painting
from playwright.sync_api import expect

NAN, INF = math.nan, math.inf


def test_a_curve_is_drawn(page, report, workload):
    """A falling loss leaves ink along the diagonal of its chart, and none far from it."""
    report(workload, {"loss": [10.0 - i for i in range(10)]})
    page.goto(f"/workloads/{workload}")
    expect(_card(page, "loss").locator("canvas")).to_be_visible()
    assert _ink(page, "loss", 0.25, 0.28)
    assert _ink(page, "loss", 0.75, 0.72)
    assert not _ink(page, "loss", 0.75, 0.25)


def test_a_new_point_is_drawn_without_reload(page, report, workload):
    """A point reported while the page is open becomes the latest value and part of the chart."""
    report(workload, {"loss": [3.0, 2.0]})
    page.goto(f"/workloads/{workload}")
    expect(_card(page, "loss").locator(".latest")).to_have_text("2")
    report(workload, {"loss": [1.25]}, first=2)
    expect(_card(page, "loss").locator(".latest")).to_have_text("1.25")
    expect(_card(page, "loss").locator("footer")).to_have_text("3 points")


def test_a_metric_first_logged_later_gets_its_chart(page, report, workload):
    """A metric that begins while the page is open appears without reload."""
    report(workload, {"loss": [3.0, 2.0]})
    page.goto(f"/workloads/{workload}")
    expect(_card(page, "loss").locator("canvas")).to_be_visible()
    report(workload, {"val/accuracy": [0.5]}, first=2)
    expect(_card(page, "val/accuracy").locator("canvas")).to_be_visible()


def test_what_is_not_finite_is_marked_where_it_happened(page, report, workload):
    """NaN and both infinities each get a mark that names value and step."""
    report(workload, {"loss": [3.0, NAN, 2.0, INF, 1.0, -INF, 1.0]})
    page.goto(f"/workloads/{workload}")
    marks = _card(page, "loss").locator(".mark")
    expect(marks).to_have_count(3)
    titles = [mark.get_attribute("title") for mark in marks.all()]
    assert titles == ["NaN at step 1", "+infinity at step 3", "-infinity at step 5"]
    expect(marks.first).to_be_visible()


def test_a_single_point_is_seen(page, report, workload):
    """A metric with one point shows a dot in the middle of its chart."""
    report(workload, {"score": [5.0]})
    page.goto(f"/workloads/{workload}")
    expect(_card(page, "score").locator("canvas")).to_be_visible()
    assert _ink(page, "score", 0.5, 0.5)


def test_metrics_stand_under_their_prefix(page, report, workload):
    """Metrics are grouped by what stands before the first slash."""
    report(workload, {"loss": [1.0], "train/lr": [1.0], "train/gpu/temp": [1.0]})
    page.goto(f"/workloads/{workload}")
    group = page.get_by_role("region", name="train")
    expect(group.locator("[data-metric]")).to_have_count(2)


def test_the_groups_of_losses_come_first(page, report, workload):
    """The training's losses lead the page, then other losses, then names without a prefix."""
    names = ["epoch", "eval/loss", "perf/rate", "train/lr", "train/loss"]
    report(workload, {name: [1.0] for name in names})
    page.goto(f"/workloads/{workload}")
    expect(page.locator("[data-metric]")).to_have_count(5)
    shown = page.locator("[data-metric]").evaluate_all("(all) => all.map((x) => x.dataset.metric)")
    assert shown == ["train/loss", "train/lr", "eval/loss", "epoch", "perf/rate"]


def test_runs_are_overlaid_and_can_be_hidden(page, report, workload):
    """Two runs share a chart; hiding one removes its points and is kept in the address."""
    report(workload, {"loss": [3.0, 2.0]}, run_id="a", run={"name": "first"})
    report(workload, {"loss": [4.0, 3.0, 2.0]}, run_id="b", run={"name": "second"})
    page.goto(f"/workloads/{workload}")
    footer = _card(page, "loss").locator("footer")
    expect(footer).to_have_text("5 points")
    page.get_by_role("button", name="1 · first").click()
    expect(footer).to_have_text("3 points")
    expect(page).to_have_url(re.compile(r"\?hide=1$"))


def test_the_filter_takes_a_regular_expression(page, report, workload):
    """A filter such as ^val/ keeps only the metrics it matches."""
    report(workload, {"loss": [1.0], "val/loss": [1.0]})
    page.goto(f"/workloads/{workload}")
    expect(_card(page, "loss")).to_be_visible()
    page.locator("#filter").fill("^val/")
    expect(_card(page, "loss")).to_have_count(0)
    expect(_card(page, "val/loss")).to_be_visible()


def test_an_unfinished_expression_is_taken_as_text(page, report, workload):
    """A filter that is no valid expression matches names that hold it literally."""
    report(workload, {"loss": [1.0], "acc(top": [1.0]})
    page.goto(f"/workloads/{workload}?q=acc(")
    expect(_card(page, "acc(top")).to_be_visible()
    expect(_card(page, "loss")).to_have_count(0)


def test_a_link_shows_the_same_view(page, report, workload):
    """Filter, x axis, scale and zoom are all read from the address."""
    report(workload, {"loss": [1.0, 0.1, 0.01], "lr": [1.0]})
    page.goto(f"/workloads/{workload}?q=loss&x=time&y=log&from=1699999999000&to=1700000003000")
    expect(page.get_by_role("button", name="Time")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="Log", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    expect(_card(page, "loss").locator("footer")).to_contain_text("zoomed")
    expect(_card(page, "lr")).to_have_count(0)


def test_dragging_zooms_and_back_returns(page, report, workload):
    """A drag over a chart puts the stretch into the address; the back button shows all again."""
    report(workload, {"loss": [float(i) for i in range(100)], "lr": [1.0] * 100})
    page.goto(f"/workloads/{workload}")
    expect(_card(page, "lr").locator("canvas")).to_be_visible()
    _drag(page, "loss", 0.25, 0.5)
    expect(page).to_have_url(re.compile(r"from=24\.?\d*&to=49\.?\d*"))
    expect(_card(page, "lr").locator("footer")).to_contain_text("zoomed")
    page.go_back()
    expect(_card(page, "lr").locator("footer")).to_have_text("100 points")


def test_runs_that_began_apart_are_laid_over_each_other_by_elapsed_time(page, report, workload):
    """With elapsed time as x axis two runs of different days stand at the same place."""
    begun = 1.7e9
    report(workload, {"loss": [1.0] * 11}, run_id="a", run={"started_at": begun, "name": "a"})
    late = {"started_at": begun - 86_400, "name": "b"}
    report(workload, {"loss": [5.0] * 11}, run_id="b", run=late)
    page.goto(f"/workloads/{workload}?x=elapsed")
    tip = _card(page, "loss").locator(".tip")
    _hover(page, "loss", 0.001)
    expect(tip).to_contain_text("0 s · step 0")
    expect(tip).to_contain_text("1 · a")
    _hover(page, "loss", 0.999)
    expect(tip).to_contain_text("1 d")
    expect(tip).to_contain_text("2 · b")


def test_a_log_axis_says_what_it_cannot_show(page, report, workload):
    """Values that are not above zero are counted under a log chart."""
    report(workload, {"gain": [-1.0, 0.0, 10.0, 100.0]})
    page.goto(f"/workloads/{workload}")
    page.get_by_role("button", name="Log", exact=True).click()
    expect(_card(page, "gain").locator("footer")).to_have_text(
        "4 points · 2 not above 0, off the log axis"
    )


def test_only_charts_near_the_window_are_drawn(page, report, workload):
    """Of 60 metrics the far ones have no canvas and were not asked for until scrolled to."""
    report(workload, {f"layer/{i:02}": [1.0, 2.0] for i in range(60)})
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"/workloads/{workload}")
    expect(_card(page, "layer/00").locator("canvas")).to_be_visible()
    expect(_card(page, "layer/59").locator("canvas")).to_have_count(0)
    assert not any("layer%2F59" in url for url in asked)
    _card(page, "layer/59").scroll_into_view_if_needed()
    expect(_card(page, "layer/59").locator("canvas")).to_be_visible()


def test_hovering_reads_the_same_place_of_every_chart(page, report, workload):
    """The cursor over one chart shows the other chart's value at the same step."""
    report(workload, {"loss": [9.0, 8.0, 7.0], "lr": [0.1, 0.2, 0.3]})
    page.goto(f"/workloads/{workload}")
    expect(_card(page, "lr").locator("canvas")).to_be_visible()
    _hover(page, "loss", 0.5)
    expect(_card(page, "loss").locator(".tip")).to_contain_text("step 1")
    expect(_card(page, "lr").locator(".latest")).to_have_attribute("data-read", "0.2")


def test_a_run_that_ended_earlier_is_not_read_later(page, report, workload):
    """The cursor lists a run between its points, but not past its last one."""
    report(workload, {"loss": [float(i) for i in range(101)]}, run_id="a", run={"name": "long"})
    report(workload, {"loss": [1.0]}, run_id="b", run={"name": "short"})
    report(workload, {"loss": [2.0]}, run_id="b", first=50)
    page.goto(f"/workloads/{workload}")
    tip = _card(page, "loss").locator(".tip")
    _hover(page, "loss", 0.4)
    expect(tip).to_contain_text("2 2 · short")
    _hover(page, "loss", 0.75)
    expect(tip).not_to_contain_text("short")
    expect(tip).to_contain_text("75 1 · long")


def test_an_unknown_workload_is_said_and_awaited(page, report, workload):
    """A page opened before the job reports says so, and fills when it does."""
    page.goto(f"/workloads/{workload}")
    expect(page.get_by_role("heading", name=f"There is no workload “{workload}”")).to_be_visible()
    report(workload, {"loss": [1.0]})
    expect(_card(page, "loss").locator("canvas")).to_be_visible()


def test_shortcuts_change_axes_and_show_help(page, report, workload):
    """The keys x, l and ? switch the x axis, the scale, and open the help."""
    report(workload, {"loss": [1.0, 2.0]})
    page.goto(f"/workloads/{workload}")
    expect(_card(page, "loss").locator("canvas")).to_be_visible()
    page.keyboard.press("x")
    page.keyboard.press("l")
    expect(page).to_have_url(re.compile(r"x=time&y=log$"))
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Help")).to_be_visible()


def test_a_page_left_open_does_not_grow(page, report, workload):
    """Thirty refreshes with new points leave less than 1 MB behind."""
    metrics = [f"m{i}" for i in range(12)]
    report(workload, {name: [0.0, 1.0] for name in metrics})
    page.clock.install()
    page.goto(f"/workloads/{workload}")
    footer = _card(page, "m0").locator("footer")
    sizes = []
    for step in range(2, 42):
        report(workload, {name: [float(step)] for name in metrics}, first=step)
        page.clock.run_for(2_100)
        expect(footer).to_have_text(f"{step + 1} points")
        if step in {11, 41}:
            sizes.append(_heap_bytes(page))
    assert sizes[1] - sizes[0] < 1_000_000


def _heap_bytes(page):
    """What the page's scripts still hold after everything unreachable is gone."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    session.send("HeapProfiler.collectGarbage")
    measured = session.send("Performance.getMetrics")["metrics"]
    session.detach()
    return next(each["value"] for each in measured if each["name"] == "JSHeapUsedSize")


def _card(page, metric):
    return page.locator(f'[data-metric="{metric}"]')


def _hover(page, metric, across):
    over = _card(page, metric).locator(".u-over")
    expect(over).to_be_visible()
    over.hover(position={"x": over.bounding_box()["width"] * across, "y": 20})


def _drag(page, metric, start, end):
    box = _card(page, metric).locator(".u-over").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * start, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * end, middle, steps=4)
    page.mouse.up()


def _ink(page, metric, across, down):
    """Whether the run's colour is within 8 pixels of a place of the plot, both from 0 to 1."""
    painting.settle(page)
    return _card(page, metric).evaluate(
        """(card, [across, down]) => {
          const canvas = card.querySelector("canvas");
          const over = card.querySelector(".u-over").getBoundingClientRect();
          const at = canvas.getBoundingClientRect();
          const scale = canvas.width / at.width;
          const x = (over.left - at.left + over.width * across) * scale;
          const y = (over.top - at.top + over.height * down) * scale;
          const { data } = canvas.getContext("2d").getImageData(x - 8, y - 8, 17, 17);
          for (let i = 0; i < data.length; i += 4) {
            const [red, green, blue, alpha] = data.slice(i, i + 4);
            if (alpha > 100 && blue > 180 && blue - red > 90 && blue - green > 40) return true;
          }
          return false;
        }""",
        [across, down],
    )
