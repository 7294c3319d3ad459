"""The tabs of a workload's page beside its charts: ranks, runs and configuration, framework."""

import random
import re
import time

import httpx
import painting
import pytest
from playwright.sync_api import expect

RANKS = 8
SLOW = 5


@pytest.fixture(scope="module")
def ranked(server, reporter) -> str:
    """A workload of 8 ranks that all pause at steps 40 to 49; rank 5 takes a quarter longer."""
    noise = random.Random(3)
    for rank in range(RANKS):
        times = [
            (0.5 if rank == SLOW else 0.4) + noise.uniform(-0.01, 0.01) + (40 <= step < 50)
            for step in range(100)
        ]
        run = {"name": f"worker-{rank}", "rank": rank, "world_size": RANKS}
        reporter(server)("ranked", {"perf/step_time": times}, run_id=f"k{rank}", run=run)
    return "ranked"


def test_a_slow_rank_is_named_with_how_slow_it_is(page, ranked):
    """The one rank that always takes longer is named; a pause of all ranks names nobody."""
    page.goto(f"/workloads/{ranked}?tab=ranks")
    finding = page.locator(".finding")
    expect(finding).to_contain_text("1 rank is slow")
    expect(finding.get_by_role("listitem")).to_have_count(1)
    expect(finding.get_by_role("listitem")).to_contain_text(
        re.compile(r"rank 5\s*\+2[45]\.?\d* % over the ranks. median")
    )


def test_the_heat_map_colours_the_slow_rank(page, ranked):
    """In the heat map the row of the slow rank is redder than every other."""
    page.goto(f"/workloads/{ranked}?tab=ranks")
    expect(page.locator(".finding")).to_contain_text("slow")
    painting.settle(page)
    redness = page.locator(".field canvas").evaluate(
        """(canvas, ranks) => {
          const pen = canvas.getContext("2d");
          const scale = canvas.width / canvas.clientWidth;
          const row = (canvas.clientHeight - 22) / ranks;
          return Array.from({ length: ranks }, (_, rank) => {
            const [x, y] = [canvas.width * 0.6, (rank + 0.5) * row * scale];
            const [red, , blue] = pen.getImageData(x, y, 1, 1).data;
            return red - blue;
          });
        }""",
        RANKS,
    )
    assert max(range(RANKS), key=redness.__getitem__) == SLOW
    assert redness[SLOW] > 40 + sorted(redness)[-2]


def test_a_cell_is_read_by_pointer_and_by_keys(page, ranked):
    """The pointer and the arrow keys read rank, step, time and the ranks' median."""
    page.goto(f"/workloads/{ranked}?tab=ranks")
    field = page.locator(".field")
    expect(page.locator(".finding")).to_contain_text("slow")
    field.hover(position={"x": field.bounding_box()["width"] - 12, "y": 5})
    expect(field.locator(".tip")).to_contain_text("step 99")
    expect(field.locator(".tip")).to_contain_text("rank 0")
    page.mouse.move(0, 0)
    field.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(field.locator(".tip")).to_contain_text("step 1")


def test_ranks_alike_are_all_called_alike(page, report, workload):
    """Among ranks that differ by noise alone none is called slow."""
    noise = random.Random(5)
    for rank in range(4):
        times = [0.4 + noise.uniform(-0.01, 0.01) for _ in range(50)]
        report(workload, {"step_time": times}, run_id=f"k{rank}", run={"rank": rank})
    page.goto(f"/workloads/{workload}?tab=ranks")
    expect(page.locator(".finding")).to_contain_text("No rank is slow")


def test_a_metric_for_each_rank_is_compared_too(page, report, workload):
    """Metrics such as rank_2/step_time of one run are its ranks."""
    times = {f"rank_{rank}/step_time": [1.0 + (rank == 2)] * 20 for rank in range(4)}
    report(workload, {**times, "loss": [1.0]})
    page.goto(f"/workloads/{workload}?tab=ranks")
    expect(page.get_by_label("Compare by")).to_have_value("rank_*/step_time")
    expect(page.locator(".finding").get_by_role("listitem")).to_contain_text("rank 2")


def test_one_rank_alone_is_told_how_to_be_compared(page, report, workload):
    """A workload with one process is told what to log so that ranks can be compared."""
    report(workload, {"step_time": [1.0, 1.0]})
    page.goto(f"/workloads/{workload}?tab=ranks")
    expect(page.get_by_role("heading", name="One rank alone")).to_be_visible()


def test_settings_are_searched_and_differences_shown_alone(page, report, workload):
    """The configuration is searched by name and value; what differs can stand alone."""
    for name, rate in (("a", 0.1), ("b", 0.2)):
        config = {"optimizer": {"lr": rate, "name": "adamw"}, "layers": 12}
        report(workload, {"loss": [1.0]}, run_id=name, run={"name": name, "config": config})
    page.goto(f"/workloads/{workload}?tab=runs")
    rows = page.locator(".config tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("optimizer.lr")
    page.get_by_label("Search settings and values").fill("adam")
    expect(rows).to_have_count(1)
    expect(page).to_have_url(re.compile("find=adam"))
    page.get_by_label("Search settings and values").fill("")
    page.get_by_label("Only what differs").check()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("optimizer.lr")


def test_a_person_corrects_the_framework_and_takes_it_back(page, server, report, workload):
    """What a person says replaces the detection, is named as such, and can be withdrawn."""
    report(workload, {"loss": [1.0]})
    evidence = {"environment": {"DEEPSPEED_CONFIG": "ds.json"}}
    answer = httpx.post(
        f"{server.url}/api/v1/wandb/detection",
        json={
            "source": "wandb",
            "type": "framework_detection_raw",
            "version": "1.0",
            "workload_uid": workload,
            "evidence": {"base_frameworks": {"deepspeed": {"detected": True}}, **evidence},
            "timestamp": time.time(),
        },
    )
    assert answer.status_code == 200, answer.text
    page.goto(f"/workloads/{workload}?tab=framework")
    large = page.locator(".large")
    expect(large).to_have_text("deepspeed")
    page.get_by_label("Wrapper").fill("lightning")
    page.get_by_label("Base").fill("megatron")
    page.get_by_role("button", name="Save").click()
    expect(large).to_have_text("lightning · megatron")
    expect(page.get_by_role("row", name="a person")).to_contain_text("said by a person")
    note = page.locator(".note")
    expect(note).to_contain_text("One source disagrees")
    expect(note).to_contain_text("a person says megatron, wandb says deepspeed (base)")
    page.get_by_role("button", name="Withdraw").click()
    expect(large).to_have_text("deepspeed")


def test_the_evidence_is_searched(page, server, report, workload):
    """Evidence is a flat list that can be searched by name and value."""
    report(workload, {"loss": [1.0]})
    evidence = {
        "wrapper_frameworks": {"primus": {"detected": True}},
        "environment": {"PRIMUS_BACKEND": "megatron", "WORLD_SIZE": "64"},
    }
    body = {"source": "wandb", "type": "framework_detection_raw", "version": "1.0"}
    said = {**body, "workload_uid": workload, "evidence": evidence, "timestamp": time.time()}
    httpx.post(f"{server.url}/api/v1/wandb/detection", json=said).raise_for_status()
    page.goto(f"/workloads/{workload}?tab=framework")
    rows = page.locator(".config tbody tr")
    expect(rows).to_have_count(3)
    page.get_by_label("Search the evidence").fill("BACKEND")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("megatron")


def test_tabs_are_in_the_address_and_turned_by_keys(page, report, workload):
    """The keys [ and ] turn tabs; each is an address, and the back button returns."""
    report(workload, {"loss": [1.0, 2.0]})
    page.goto(f"/workloads/{workload}")
    tabs = page.get_by_role("navigation", name="Parts of this workload")
    expect(tabs.locator("[aria-current=page]")).to_contain_text("Charts")
    page.keyboard.press("]")
    expect(page).to_have_url(re.compile(r"\?tab=ranks$"))
    page.keyboard.press("]")
    expect(tabs.locator("[aria-current=page]")).to_contain_text("Runs & config")
    page.go_back()
    expect(tabs.locator("[aria-current=page]")).to_contain_text("Ranks")


def test_the_intake_tells_what_was_lost_and_where(page, server, workload):
    """Gaps are listed with the records and points that were lost, and why."""
    gap = {"first": 1, "last": 6, "points": 60, "reason": "spool_full"}
    point = {"name": "loss", "value": 1.0, "step": 9, "timestamp": time.time()}
    said = {"source": "wandb", "workload_uid": workload, "run_id": "r1", "metrics": [point]}
    httpx.post(
        f"{server.url}/api/v1/wandb/metrics",
        json={**said, "gaps": [gap]},
        headers={"Idempotency-Key": f"{workload}/7-7"},
    ).raise_for_status()
    page.goto(f"/workloads/{workload}?tab=intake")
    tiles = page.locator(".tiles")
    expect(tiles).to_contain_text("Points lost60")
    expect(tiles).to_contain_text("Clock of the jobright")
    expect(page.get_by_role("row", name="the spool was full")).to_contain_text("1 to 6")
