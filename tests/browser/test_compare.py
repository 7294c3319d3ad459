"""Workloads and runs side by side."""

import re
import time

import pytest
from playwright.sync_api import expect

STEPS = 100


@pytest.fixture(scope="module")
def sweep(server):
    """Four workloads that differ in learning rate and seed; the last has two runs. Their prefix."""
    prefix = f"sweep-{time.monotonic_ns()}"
    jobs = [("a", 0.1, 1, 1.0), ("b", 0.1, 2, 3.0), ("c", 0.2, 1, 10.0), ("d", 0.2, 2, 20.0)]
    for name, rate, seed, level in jobs:
        for run_id in ("r1", "r2") if name == "d" else ("r1",):
            config = {"optimizer": {"lr": rate, "name": "adamw"}, "seed": seed}
            points = [
                {"name": metric, "step": i, "value": value, "timestamp": 1.7e9 + i}
                for i in range(STEPS)
                for metric, value in (("train/loss", level), ("system/gpu", 80.0))
            ]
            if name == "a":
                points.append({"name": "val/acc", "step": 0, "value": 0.5, "timestamp": 1.7e9})
            facts = {"name": f"{name}-{run_id}", "state": "finished", "config": config}
            body = {"workload_uid": f"{prefix}-{name}", "run_id": run_id, "run": facts}
            assert server.post("/wandb/metrics", body | {"metrics": points}).status_code == 200
    return prefix


def test_workloads_share_a_chart(page, sweep):
    """Each metric is one chart with a line a run; the losses come first, the machine's last."""
    _open(page, sweep, "a", "b")
    cards = page.locator("[data-metric]")
    expect(cards).to_have_count(3)
    names = [card.get_attribute("data-metric") for card in cards.all()]
    assert names == ["train/loss", "val/acc", "system/gpu"]
    expect(_card(page, "train/loss").locator("canvas")).to_be_visible()
    expect(_card(page, "train/loss").locator("footer")).to_have_text("200 points")
    expect(_card(page, "val/acc").locator("footer")).to_have_text("1 point · not logged by 1")


def test_one_run_of_a_workload_can_be_named(page, sweep):
    """After a colon stands the run; without it all runs of the workload are compared."""
    _open(page, sweep, "d")
    expect(page.locator(".summary")).to_have_text("1 workload, 2 runs")
    _open(page, sweep, "d:2")
    expect(page.locator(".summary")).to_have_text("1 workload, 1 run")
    expect(page.locator(".runs tbody th")).to_have_text(["d-r2"])


def test_runs_are_grouped_by_a_setting_as_mean_and_range(page, sweep):
    """Runs of one learning rate are one line at their mean, and the address says so."""
    _open(page, sweep, "a", "b", "c", "d:1")
    page.get_by_label("Group by", exact=True).select_option("optimizer.lr")
    expect(page).to_have_url(re.compile("group=optimizer.lr"))
    groups = page.get_by_role("list", name="Groups").get_by_role("listitem")
    expect(groups).to_have_text(["optimizer.lr 0.1 (2 runs)", "optimizer.lr 0.2 (2 runs)"])
    expect(_card(page, "train/loss").locator("footer")).to_contain_text("mean and range")
    words = _card(page, "train/loss").locator(".plot")
    expect(words).to_have_attribute(
        "aria-label", re.compile(r"0\.1 \(2 runs\) latest 2; .*0\.2 \(2 runs\) latest 15$")
    )


def test_the_runs_of_a_group_have_its_colour_in_the_tables(page, sweep):
    """Grouped, two runs of one learning rate are marked alike; groups go by number, not by text."""
    _open(page, sweep, "a", "b", "c")
    page.get_by_label("Group by", exact=True).select_option("optimizer.lr")
    swatches = page.locator(".runs tbody .swatch i")
    expect(swatches).to_have_count(3)
    expect(page.get_by_role("list", name="Groups").get_by_role("listitem")).to_have_count(2)
    colours = swatches.evaluate_all("(all) => all.map((one) => one.style.color)")
    assert colours == ["var(--run-1)", "var(--run-1)", "var(--run-2)"]


def test_only_settings_that_differ_are_shown(page, sweep):
    """The table of settings leaves out what is the same, says how much, and shows it on request."""
    _open(page, sweep, "a", "c")
    settings = page.locator(".differences tbody th")
    expect(settings).to_have_text(["optimizer.lr"])
    page.get_by_role("button", name="Show the 2 that are the same").click()
    expect(settings).to_have_text(["optimizer.lr", "optimizer.name", "seed"])
    expect(page).to_have_url(re.compile("same=show"))


def test_the_table_of_runs_sorts_by_any_column(page, sweep):
    """A press on a head sorts by it; the order is in the address and comes back with it."""
    _open(page, sweep, "a", "b", "c")
    expect(
        page.get_by_role("row", name="c-r1").get_by_role("cell", name="10", exact=True)
    ).to_be_visible()
    page.locator(".runs").get_by_role("button", name="train/loss").click()
    expect(page.locator(".runs tbody th")).to_have_text(["a-r1", "b-r1", "c-r1"])
    page.locator(".runs").get_by_role("button", name="train/loss").click()
    expect(page.locator(".runs tbody th")).to_have_text(["c-r1", "b-r1", "a-r1"])
    page.reload()
    expect(page.locator(".runs tbody th")).to_have_text(["c-r1", "b-r1", "a-r1"])


def test_a_run_is_hidden_left_out_and_brought_back(page, sweep):
    """A press in the legend hides a line, ✕ leaves a run out, the back button undoes both."""
    _open(page, sweep, "a", "b")
    footer = _card(page, "train/loss").locator("footer")
    expect(footer).to_have_text("200 points")
    page.get_by_role("group", name="Runs shown").get_by_role("button", name="b-r1").click()
    expect(footer).to_have_text("100 points")
    page.go_back()
    expect(footer).to_have_text("200 points")
    page.get_by_role("button", name="Leave out b-r1").click()
    expect(page.locator(".summary")).to_have_text("1 workload, 1 run")
    page.go_back()
    expect(page.locator(".summary")).to_have_text("2 workloads, 2 runs")


def test_a_drag_zooms_every_chart(page, sweep):
    """A drag over one chart puts the stretch into the address and narrows all."""
    _open(page, sweep, "a", "b")
    expect(_card(page, "system/gpu").locator("canvas")).to_be_visible()
    box = _card(page, "train/loss").locator(".u-over").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.25, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, middle, steps=4)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"from=24\.?\d*&to=49\.?\d*"))
    expect(_card(page, "system/gpu").locator("footer")).to_contain_text("zoomed")


def test_a_workload_is_added_by_name(page, sweep):
    """What is typed finds workloads; Enter lays the first beside the others."""
    _open(page, sweep, "a")
    page.get_by_label("Add a workload").fill(f"{sweep}-b")
    expect(page.locator(".suggested button")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator(".summary")).to_have_text("2 workloads, 2 runs")
    expect(page).to_have_url(re.compile(f"w={sweep}-a&w={sweep}-b$"))


def test_what_does_not_exist_is_said(page, sweep):
    """A workload or run that is not known is named, and the others are shown all the same."""
    _open(page, sweep, "a", "never", "b:7")
    alerts = page.get_by_role("alert")
    expect(alerts).to_have_count(2)
    expect(alerts.nth(0)).to_contain_text(f"There is no workload “{sweep}-never”")
    expect(alerts.nth(1)).to_contain_text(f"There is no run 7 of workload “{sweep}-b”")
    expect(_card(page, "train/loss").locator("canvas")).to_be_visible()


def test_an_empty_comparison_says_how_to_begin(page):
    """Without anything to compare the page says how to choose."""
    page.goto("/compare")
    expect(page.locator(".empty")).to_contain_text("Tick workloads on the fleet")


def _open(page, sweep, *words):
    page.goto("/compare?" + "&".join(f"w={sweep}-{word}" for word in words))


def _card(page, metric):
    return page.locator(f'[data-metric="{metric}"]')
