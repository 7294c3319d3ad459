"""What a chart shows and how it is worked with: envelopes, marks, smoothing, zoom, keys, files."""

import csv
import io
import math
import random
import re
import struct

import painting
import pytest
from playwright.sync_api import expect

STEPS = 100_000
SPIKES = [1_200 + 2_467 * i for i in range(40)]  # one step each, never two in a column of pixels


_DRAWN = "document.querySelector('[data-metric=loss] canvas')?.toDataURL()"
_ZOOM = """from => {
  history.replaceState(null, "", `?from=${from}&to=1100`);
  dispatchEvent(new PopStateEvent("popstate"));
}"""


@pytest.fixture(scope="module")
def spiky(server, reporter) -> str:
    """A workload of 100,000 steps whose flat loss leaves its level at 40 single ones."""
    noise = random.Random(7)
    values = [1.0 + noise.uniform(-0.02, 0.02) for _ in range(STEPS)]
    for step in SPIKES:
        values[step] = 9.0
    for first in range(0, STEPS, 10_000):
        reporter(server)("spiky", {"loss": values[first : first + 10_000]}, first=first)
    return "spiky"


def test_every_one_step_spike_of_100_000_steps_is_drawn(page, spiky):
    """All of 40 spikes of one step stand in the pixels of the chart, where they happened."""
    page.goto(f"/workloads/{spiky}")
    expect(_card(page, "loss").locator("footer")).to_contain_text("shown of 100,000")
    lit = _lit_columns(page, "loss", 0.3)
    width = len(lit)
    seen = [step for step in SPIKES if any(lit[_near(step, width)])]
    assert seen == SPIKES
    assert sum(lit) < 6 * len(SPIKES)  # and nothing stands there besides


def test_spikes_are_marked_with_their_height_and_what_is_usual(page, spiky):
    """Each spike has a mark that says step, height and the level around it."""
    page.goto(f"/workloads/{spiky}")
    marks = _card(page, "loss").locator(".mark.spike")
    expect(marks).to_have_count(len(SPIKES))
    title = marks.first.get_attribute("title")
    assert re.fullmatch(r"Spike to 9 \(around it (0\.9|1\.0|1$|1)\S*\) at step 1,200", title), title


def test_a_zoom_asks_for_the_exact_points_of_the_stretch(page, spiky):
    """Of a stretch of 200 steps all 201 points are fetched and said to be shown."""
    page.goto(f"/workloads/{spiky}?from=1100&to=1300")
    footer = _card(page, "loss").locator("footer")
    expect(footer).to_have_text("201 points · zoomed")
    _hover(page, "loss", 0.5)
    expect(_card(page, "loss").locator(".tip")).to_contain_text("step 1,200")
    expect(_card(page, "loss").locator(".tip")).to_contain_text("9")


def test_many_lines_in_motion_are_drawn_with_care_once_still(page, report, workload):
    """Zoomed at every frame, a chart of six runs is sketched; at rest it is as one opened there."""
    for run in range(6):
        values = [math.sin(i * (run + 1)) for i in range(1_000)]
        report(workload, {"loss": values}, run_id=f"r{run}")
    page.clock.install()
    page.goto(f"/workloads/{workload}")
    expect(_card(page, "loss").locator("footer")).to_have_text("6,000 points")
    page.clock.pause_at(page.evaluate("Date.now() + 10_000"))
    for start in range(-130, -99):
        page.evaluate(_ZOOM, start)
        page.clock.run_for(16)
    sketched = page.evaluate(_DRAWN)
    page.clock.run_for(1000)
    at_rest = page.evaluate(_DRAWN)
    assert at_rest != sketched
    page.clock.resume()
    page.goto(f"/workloads/{workload}?from=-100&to=1100")
    page.wait_for_function(f"at_rest => {_DRAWN} === at_rest", arg=at_rest)


def test_the_smoothed_curve_leaves_the_raw_one_visible(page, report, workload):
    """With smoothing the zigzag of the raw values is still there, fainter than the smooth curve."""
    report(workload, {"loss": [10.0 * (i % 2) for i in range(200)]})
    page.goto(f"/workloads/{workload}?s=0.95")
    expect(_card(page, "loss").locator("footer")).to_have_text("200 points · smoothed 0.95")
    edge, middle = _strength(page, "loss", 0.1), _strength(page, "loss", 0.5)
    assert 0 < edge < middle


def test_smoothing_starts_without_a_pull_to_zero(page):
    """The smoothed curve of a constant is that constant from the first point on."""
    page.goto("/static/app.css")
    out = _call(page, "shapes.js", "smoothed", [0, 1, 5, 6], [3, 3, 3, 3], 0.9, 6)
    assert out == pytest.approx([3, 3, 3, 3])


def test_what_grew_too_long_is_thinned_without_losing_an_extreme(page):
    """Of 5,000 live points about 1,000 stay, the lone peak and the NaN among them."""
    page.goto("/static/app.css")
    values = [math.sin(i / 50) for i in range(5_000)]
    values[3_333] = 99.0
    values[4_001] = "NaN"
    kept = _call(page, "shapes.js", "kept", list(range(5_000)), values, 1_000)
    assert {0, 3_333, 4_001, 4_999} <= set(kept)
    assert len(kept) <= 1_001


def test_what_stays_is_no_spike(page):
    """A step to another level is not marked; a single point away from it is."""
    page.goto("/static/app.css")
    step = [1.0 + 0.01 * (i % 3) for i in range(50)] + [2.0 + 0.01 * (i % 3) for i in range(50)]
    assert _call(page, "shapes.js", "spikes", step) == []
    step[20] = 5.0
    assert [spike["at"] for spike in _call(page, "shapes.js", "spikes", step)] == [20]


def test_a_slope_is_no_spike(page):
    """A curve that falls fast and then settles, as any loss does, has no spike."""
    page.goto("/static/app.css")
    falling = [2.0 * 0.7**i + 0.05 for i in range(60)]
    assert _call(page, "shapes.js", "spikes", falling) == []


def test_the_full_screen_lists_what_every_run_says(page, report, workload):
    """Full screen shows a row a run with its value under the cursor; Escape returns."""
    report(workload, {"loss": [3.0, 2.0, 1.0]}, run_id="a", run={"name": "first"})
    report(workload, {"loss": [6.0, 5.0, 4.0]}, run_id="b", run={"name": "second"})
    page.goto(f"/workloads/{workload}")
    page.get_by_role("button", name="Enlarge loss").click()
    dialog = page.get_by_role("dialog", name="loss, full screen")
    expect(page).to_have_url(re.compile(r"\?big=loss$"))
    over = dialog.locator(".u-over")
    over.hover(position={"x": over.bounding_box()["width"] / 2, "y": 30})
    expect(dialog.get_by_role("row", name="2 · second")).to_contain_text("5")
    expect(dialog.get_by_role("row", name="1 · first")).to_contain_text("2")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page).not_to_have_url(re.compile("big="))


def test_the_keyboard_reads_and_zooms_a_chart(page, report, workload):
    """Arrow keys read point by point aloud; + zooms around the cursor, 0 shows all again."""
    report(workload, {"loss": [float(i * i) for i in range(11)]})
    page.goto(f"/workloads/{workload}")
    expect(_card(page, "loss").locator("canvas")).to_be_visible()
    _card(page, "loss").locator(".plot").focus()
    spoken = _card(page, "loss").get_by_role("status")
    page.keyboard.press("ArrowRight")
    expect(spoken).to_have_text("step 0: 0")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(spoken).to_have_text("step 2: 4")
    page.keyboard.press("+")
    expect(page).to_have_url(re.compile(r"from=1&to=6$"))
    page.keyboard.press("0")
    expect(page).not_to_have_url(re.compile("from="))


def test_a_chart_is_saved_as_csv_with_every_digit(page, report, workload):
    """The CSV holds all points, exactly as logged, and no name that a spreadsheet would run."""
    values = [0.1 + 0.2, math.nan, 1e-300, -math.inf]
    report(workload, {"loss": values}, run={"name": "=HYPERLINK(1)"})
    page.goto(f"/workloads/{workload}")
    rows = list(csv.DictReader(io.StringIO(_saved(page, "Save loss as CSV").decode())))
    assert [row["value"] for row in rows] == ["0.30000000000000004", "NaN", "1e-300", "-Infinity"]
    assert [row["step"] for row in rows] == ["0", "1", "2", "3"]
    assert rows[0]["time"] == "2023-11-14T22:13:20.000Z"
    assert {row["run"] for row in rows} == {"'=HYPERLINK(1)"}


def test_a_chart_is_saved_as_a_picture(page, report, workload):
    """The PNG is the chart at a size of its own, with the curve's colour in it."""
    report(workload, {"loss": [3.0, 2.0, 1.0]})
    page.goto(f"/workloads/{workload}")
    picture = _saved(page, "Save loss as PNG")
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", picture[16:24]) >= (1_200, 560)
    inked = page.evaluate(
        """async (bytes) => {
          const image = await createImageBitmap(new Blob([new Uint8Array(bytes)]));
          const canvas = new OffscreenCanvas(image.width, image.height);
          const pen = canvas.getContext("2d");
          pen.drawImage(image, 0, 0);
          const { data } = pen.getImageData(0, 0, image.width, image.height);
          let found = 0;
          for (let i = 0; i < data.length; i += 4) {
            if (data[i + 2] > 180 && data[i + 2] - data[i] > 90) found += 1;
          }
          return found;
        }""",
        list(picture),
    )
    assert inked > 500


def test_pinned_metrics_come_first_and_stay(page, report, workload):
    """A pinned metric leads the page, in the address and on the next visit."""
    report(workload, {"loss": [1.0], "zeta": [1.0]})
    page.goto(f"/workloads/{workload}")
    _card(page, "zeta").hover()
    page.get_by_role("button", name="Pin zeta").click()
    expect(page).to_have_url(re.compile(r"\?pin=zeta$"))
    expect(page.locator("[data-metric]").first).to_have_attribute("data-metric", "zeta")
    page.goto(f"/workloads/{workload}")
    pinned = page.get_by_role("region", name="Pinned")
    expect(pinned.locator("[data-metric]")).to_have_count(1)


def test_shift_shows_one_run_alone(page, report, workload):
    """A press with Shift in the legend hides every other run, and once more shows all."""
    for name in ("a", "b", "c"):
        report(workload, {"loss": [1.0, 2.0]}, run_id=name, run={"name": name})
    page.goto(f"/workloads/{workload}")
    footer = _card(page, "loss").locator("footer")
    expect(footer).to_have_text("6 points")
    page.get_by_role("button", name="2 · b").click(modifiers=["Shift"])
    expect(footer).to_have_text("2 points")
    page.get_by_role("button", name="2 · b").click(modifiers=["Shift"])
    expect(footer).to_have_text("6 points")


def test_a_restart_is_a_band_with_the_overwritten_attempt_as_a_ghost(page, report, workload):
    """Steps that were run again are shaded, and what they held before is drawn faintly."""
    report(workload, {"loss": [10.0] * 60})
    report(workload, {"loss": [2.0] * 60}, first=40)
    page.goto(f"/workloads/{workload}")
    expect(_card(page, "loss").locator("footer")).to_have_text("100 points · restarted")
    title = _card(page, "loss").locator(".band").get_attribute("title")
    assert title == (
        "Restarted: steps 40 to 59 were run again; the overwritten attempt is drawn faintly"
    )
    ghost = _lit_columns(page, "loss", _down(10, 2, 10))
    part = len(ghost) // 10
    assert any(ghost[: 4 * part])  # the first attempt up to the restart
    assert any(ghost[4 * part + 9 : 6 * part - 9])  # the ghost of what followed
    assert not any(ghost[6 * part + 9 :])
    _hover(page, "loss", 0.5)
    expect(_card(page, "loss").locator(".tip")).to_contain_text("(overwritten)")


def test_a_metric_is_drawn_over_another(page, report, workload):
    """With a metric as x axis, points stand where that metric was at their step."""
    tokens = [1_000.0 * step for step in range(50)]
    report(workload, {"loss": [float(step) for step in range(50)], "tokens": tokens})
    page.goto(f"/workloads/{workload}")
    page.get_by_label("X axis: a metric").select_option("tokens")
    expect(page).to_have_url(re.compile(r"\?xm=tokens$"))
    _hover(page, "loss", 10 / 49)
    expect(_card(page, "loss").locator(".tip")).to_contain_text("tokens 10k · step 10")


def _down(value, low, high):
    """How far down the plot a value stands, with the air above and below a curve."""
    room = (high - low) * 0.06
    return 1 - (value - (low - room)) / (high - low + 2 * room)


def _near(step, width):
    at = round(step / (STEPS - 1) * (width - 1))
    return slice(max(0, at - 2), at + 3)


def _lit_columns(page, metric, down):
    """Which columns of pixels hold the run's colour at a height from 0, the top, to 1."""
    painting.settle(page)
    return _card(page, metric).evaluate(
        _PLOT
        + """
          const { data } = pen.getImageData(left, top + height * down, width, 1);
          const blue = (i) => data[i + 3] > 20 && data[i + 2] - data[i] > 20;
          return Array.from({ length: width }, (_, i) => blue(i * 4));
        }""",
        down,
    )


def _strength(page, metric, down):
    """How strongly the run's colour covers a row of the plot, from 0 to 1."""
    painting.settle(page)
    return _card(page, metric).evaluate(
        _PLOT
        + """
          const { data } = pen.getImageData(left, top + height * down - 3, width, 7);
          let sum = 0;
          for (let i = 0; i < data.length; i += 4) {
            if (data[i + 2] - data[i] > 60) sum += data[i + 3] / 255;
          }
          return sum / (data.length / 4);
        }""",
        down,
    )


_PLOT = """(card, down) => {
          const canvas = card.querySelector("canvas");
          const over = card.querySelector(".u-over").getBoundingClientRect();
          const at = canvas.getBoundingClientRect();
          const scale = canvas.width / at.width;
          const [left, top] = [(over.left - at.left) * scale, (over.top - at.top) * scale];
          const [width, height] = [Math.round(over.width * scale), Math.round(over.height * scale)];
          const pen = canvas.getContext("2d");
"""


def _call(page, module, function, *values):
    """What a function of one of the pages' modules returns."""
    return page.evaluate(
        "async ([module, name, values]) => (await import(`/static/${module}`))[name](...values)",
        [module, function, list(values)],
    )


def _saved(page, label):
    """The bytes of the file that a button of the page hands out."""
    card = page.locator("[data-metric]").first
    expect(card.locator("canvas")).to_be_visible()
    card.hover()
    with page.expect_download() as download:
        page.get_by_role("button", name=label).click()
    return download.value.path().read_bytes()


def _card(page, metric):
    return page.locator(f'article[data-metric="{metric}"]')


def _hover(page, metric, across):
    over = _card(page, metric).locator(".u-over")
    expect(over).to_be_visible()
    over.hover(position={"x": over.bounding_box()["width"] * across, "y": 20})
