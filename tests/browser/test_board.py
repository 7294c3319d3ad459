"""The fleet board: rows that say how a workload does, in any number, by any filter and order."""

import re
import time

import pytest
from playwright.sync_api import expect

MANY = 10_000


@pytest.fixture(scope="module")
def fleet(server):
    """A fleet of four workloads that differ in all that can be filtered. Its names begin alike.

    Their steps take 20 s, so that no pause of the tests makes one that runs look stalled.
    """
    name = f"fleet-{time.monotonic_ns()}"
    now = time.time()
    jobs = {
        "ok": ("team-a", {"state": "running", "config": {"max_steps": 200}}, 0.5),
        "done": ("team-a", {"state": "finished"}, 0.25),
        "bad": ("team-b", {"state": "failed"}, 7.5),
        "nan": ("team-b", {"state": "running"}, "NaN"),
    }
    for job, (namespace, facts, last) in jobs.items():
        values = [3.0 - i / 50 for i in range(99)] + [last]
        points = [
            {"name": "train/loss", "step": i, "value": value, "timestamp": now - 20 * (100 - i)}
            for i, value in enumerate(values)
        ]
        said = {"name": f"{name}-{job}", "project": "board", "started_at": now - 2000, **facts}
        body = {"workload_uid": f"{name}-{job}", "run_id": "r", "run": said, "metrics": points}
        body |= {"namespace": namespace, "pod_name": f"{job}-worker-0"}
        assert server.post("/wandb/metrics", body).status_code == 200
    return name


@pytest.fixture(scope="module")
def crowd(server):
    """The prefix of ten thousand workloads, laid into the tables that a report fills."""
    prefix = f"crowd-{time.monotonic_ns()}-"

    async def lay(database):
        async with database.connection() as connection:
            await connection.execute(
                "INSERT INTO training_run (workload_uid, serial, run_id, first_seen, facts)"
                " SELECT $1 || lpad(n::text, 5, '0'), 1, 'r', now(), '{\"state\": \"finished\"}'"
                " FROM generate_series(0, $2) AS n",
                prefix,
                MANY - 1,
            )

    server.at_database(lay)
    return prefix


def test_a_row_says_how_its_workload_does(page, fleet):
    """A row has the state, the step of how many, the pace, the newest loss and its curve."""
    page.goto(f"/?q={fleet}")
    row = _row(page, f"{fleet}-ok")
    expect(row.locator(".state")).to_have_text("running")
    expect(row.locator(".steps")).to_contain_text("99 / 200")
    expect(row.get_by_role("progressbar")).to_have_attribute("aria-valuenow", re.compile("49|50"))
    expect(row.locator(".steps")).to_contain_text("left")
    expect(row.locator(".rate")).to_have_text("20 s each")
    expect(row.locator(".loss")).to_contain_text("0.5")
    expect(row.locator("svg .curve")).to_have_attribute("d", re.compile("^M.*L"))
    expect(row.locator(".who small")).to_contain_text("team-a/ok-worker-0")


def test_a_loss_that_is_no_number_stands_out(page, fleet):
    """A newest loss of NaN is said as such and leaves a red foot in the small curve."""
    page.goto(f"/?q={fleet}")
    row = _row(page, f"{fleet}-nan")
    expect(row.locator(".odd")).to_have_text("NaN")
    expect(row.locator("svg .holes")).to_have_count(1)


def test_trouble_comes_first(page, fleet):
    """By default a failed workload stands above those that run, and these above the finished."""
    page.goto(f"/?q={fleet}")
    names = page.locator(".board th a")
    expect(names).to_have_count(4)
    order = [text.removeprefix(f"{fleet}-") for text in names.all_inner_texts()]
    assert (order[0], order[3]) == ("bad", "done")


def test_a_press_on_a_head_sorts_and_one_more_turns_it_round(page, fleet):
    """The order is in the address, said to listeners, and turned by the next press."""
    page.goto(f"/?q={fleet}")
    head = page.get_by_role("columnheader", name="Workload")
    head.get_by_role("button").click()
    expect(page).to_have_url(re.compile("sort=name"))
    expect(head).to_have_attribute("aria-sort", "ascending")
    expect(page.locator(".board th a").first).to_have_text(f"{fleet}-bad")
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    expect(page.locator(".board th a").first).to_have_text(f"{fleet}-ok")


def test_chips_filter_and_say_how_many(page, fleet):
    """A chip says how many it stands for; pressed, so many are listed and the address says why."""
    page.goto(f"/?q={fleet}")
    chip = page.get_by_role("group", name="Namespace").get_by_role("button", name="team-b")
    expect(chip).to_contain_text("2")
    chip.click()
    expect(page.locator(".board th a")).to_have_count(2)
    expect(page).to_have_url(re.compile("namespace=team-b"))
    page.get_by_role("group", name="State").get_by_role("button", name="failed").click()
    expect(page.locator(".board th a")).to_have_text([f"{fleet}-bad"])
    expect(page.locator(".summary")).to_have_text(re.compile(r"^1 of [\d,]+ workloads$"))
    page.go_back()
    expect(page.locator(".board th a")).to_have_count(2)


def test_frameworks_are_told_and_filtered_by(page, server, fleet):
    """A row names wrapper and base, and a chip keeps what runs them or what nobody knows of."""
    detected = {"detected": True}
    evidence = {
        "wrapper_frameworks": {"lightning": detected},
        "base_frameworks": {"megatron": detected},
    }
    said = {"source": "wandb", "type": "framework_detection_raw", "version": "1.0"}
    said |= {"workload_uid": f"{fleet}-ok", "evidence": evidence, "timestamp": time.time()}
    assert server.post("/wandb/detection", said).status_code == 200
    page.goto(f"/?q={fleet}")
    expect(_row(page, f"{fleet}-ok").locator(".framework")).to_have_text("lightning megatron")
    chips = page.get_by_role("group", name="Framework")
    chips.get_by_role("button", name="lightning").click()
    expect(page.locator(".board th a")).to_have_text([f"{fleet}-ok"])
    page.go_back()
    chips.get_by_role("button", name="not known").click()
    expect(page.locator(".board th a")).to_have_count(3)


def test_a_regular_expression_filters_and_a_broken_one_is_said(page, fleet):
    """With the switch the text is an expression; the server's word about a broken one is shown."""
    page.goto(f"/?q={fleet}")
    page.get_by_role("button", name="Regular expression").click()
    page.locator("#filter").fill(f"{fleet}-(ok|done)$")
    expect(page.locator(".board th a")).to_have_count(2)
    page.locator("#filter").fill("(")
    expect(page.get_by_role("alert")).to_contain_text("regular expression")
    expect(page.locator("#filter")).to_have_attribute("aria-invalid", "true")


def test_arrows_move_and_enter_opens(page, fleet):
    """From the filter down into the rows, on with arrows, in with Enter."""
    page.goto(f"/?q={fleet}&sort=name")
    expect(page.locator(".board th a")).to_have_count(4)
    page.keyboard.press("/")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".board th a").nth(0)).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".board th a").nth(1)).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/workloads/{fleet}-bad$"))
    page.go_back()
    expect(page.locator("#filter")).to_have_value(fleet)


def test_ticked_rows_lead_to_the_comparison(page, fleet):
    """Ticks are in the address and open side by side."""
    page.goto(f"/?q={fleet}&sort=name")
    page.get_by_label(f"Tick {fleet}-bad to compare").check()
    page.get_by_label(f"Tick {fleet}-ok to compare").check()
    page.get_by_role("link", name="Compare", exact=True).last.click()
    expect(page).to_have_url(re.compile(rf"/compare\?w={fleet}-bad&w={fleet}-ok$"))


def test_the_help_opens_by_key(page, fleet):
    """`?` shows the shortcuts, Escape closes them."""
    page.goto(f"/?q={fleet}")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("tick it to compare")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_ten_thousand_workloads_stand_in_a_hundred_rows(page, crowd):
    """Of a large fleet only the rows near the window are in the page, wherever one scrolls."""
    page.goto(f"/?q={crowd}&sort=name")
    rows = page.locator(".board tbody tr:not(.gap)")
    expect(page.locator(".board")).to_have_attribute("aria-rowcount", str(MANY + 1))
    expect(page.get_by_role("link", name=f"{crowd}00000")).to_be_visible()
    assert 10 < rows.count() < 100
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight / 2)")
    expect(page.locator(f'tr[aria-rowindex="{MANY // 2}"] a')).to_have_text(f"{crowd}04998")
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    expect(page.get_by_role("link", name=f"{crowd}09999")).to_be_visible()
    assert 10 < rows.count() < 100


def test_the_keyboard_reaches_rows_that_are_not_in_the_page_yet(page, crowd):
    """Arrows go on past the rows that were drawn."""
    page.goto(f"/?q={crowd}&sort=name")
    expect(page.get_by_role("link", name=f"{crowd}00000")).to_be_visible()
    for _ in range(60):
        page.keyboard.press("j")
    expect(page.get_by_role("link", name=f"{crowd}00059")).to_be_focused()


def test_on_a_phone_a_row_is_a_card_within_the_window(page, fleet):
    """At 390 pixels nothing is wider than the window and the values are still read."""
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"/?q={fleet}")
    row = _row(page, f"{fleet}-ok")
    expect(row.locator(".steps")).to_be_visible()
    expect(row.locator(".loss")).to_contain_text("0.5")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_times_are_local_with_utc_on_hover(page, fleet):
    """How long ago on the row; local and UTC times when the pointer rests there."""
    page.goto(f"/?q={fleet}")
    title = _row(page, f"{fleet}-ok").locator("time").get_attribute("title")
    assert re.fullmatch(r"\d{4}-.* local\n\d{4}-.* UTC", title)


def _row(page, name):
    return page.locator(".board tbody tr", has=page.get_by_role("link", name=name, exact=True))
