"""The list of workloads, as a person sees it."""

import re

from playwright.sync_api import expect


def test_a_server_without_jobs_tells_how_to_instrument_one(page, make_server):
    """The empty page holds the commands, with the server's own address in them."""
    server = make_server().start()
    page.goto(server.url)
    expect(page.locator("#commands")).to_contain_text(
        f"export PRIMUS_LENS_API_BASE_URL={server.url}/api/v1"
    )


def test_a_reported_workload_stands_in_the_list(page, report, workload):
    """A workload shows its name, state, step and latest value."""
    run = {"name": "bold-sun-1", "project": "llm", "state": "running"}
    report(workload, {"loss": [3.0, 2.5, 0.512]}, run=run)
    page.goto(f"/?q={workload}")
    row = page.get_by_role("row", name="bold-sun-1")
    for words in ("running", "0.512", "llm"):
        expect(row).to_contain_text(words)
    expect(row.locator("td.progress")).to_contain_text("step 2")


def test_a_new_workload_appears_without_reload(page, report, workload):
    """The list refreshes itself: a job that starts now is there without reloading."""
    report(f"{workload}-old", {"loss": [1.0]})
    page.goto(f"/?q={workload}")
    expect(page.get_by_role("link", name=f"{workload}-old")).to_be_visible()
    report(f"{workload}-new", {"loss": [1.0]})
    expect(page.get_by_role("link", name=f"{workload}-new")).to_be_visible()


def test_the_filter_is_in_the_address_and_back_undoes_it(page, report, workload):
    """Typing in the filter narrows the list and the address; the back button widens both."""
    report(f"{workload}-apple", {"loss": [1.0]})
    report(f"{workload}-pear", {"loss": [1.0]})
    pear = page.get_by_role("link", name=f"{workload}-pear")
    page.goto(f"/?q={workload}")
    expect(pear).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.press("End")
    page.keyboard.type("-app")
    expect(pear).to_have_count(0)
    expect(page).to_have_url(re.compile(f"\\?q={workload}-app$"))
    page.go_back()
    expect(pear).to_be_visible()
    expect(page.locator("#filter")).to_have_value(workload)


def test_a_workload_opens_from_the_list_whatever_its_name(page, report, workload):
    """A uid with spaces, per cent, question and number signs leads to its own page."""
    uid = f"{workload} a%2fb?c#d&e"
    report(uid, {"loss": [1.0, 2.0]})
    page.goto(f"/?q={workload}")
    page.get_by_role("link", name=uid).click()
    expect(page.locator('[data-metric="loss"] canvas')).to_be_visible()


def test_a_server_that_stops_answering_is_said_in_words(page, report, workload):
    """When the server cannot be reached the page says so and keeps what it knew."""
    page.route("**/fleet/live", lambda route: route.abort())
    report(workload, {"loss": [1.0]})
    page.goto(f"/?q={workload}")
    expect(page.get_by_role("link", name=workload)).to_be_visible()
    page.route("**/api/**", lambda route: route.abort())
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached.")
    expect(page.get_by_role("link", name=workload)).to_be_visible()


def test_what_is_new_comes_by_events(page, report, workload):
    """While the stream of events holds, a row follows its workload although nothing is asked."""
    report(workload, {"loss": [1.0]})
    page.goto(f"/?q={workload}")
    expect(page.get_by_role("status").first).to_have_text("live")
    page.route("**/api/v1/workloads?**", lambda route: route.abort())
    report(workload, {"loss": [0.125]}, first=1)
    expect(page.locator(".board td.loss")).to_contain_text("0.125")
    expect(page.get_by_role("status").first).to_have_text("live")


def test_without_events_the_page_asks_and_says_so(page, report, workload):
    """Where no events come the page asks every two seconds, and the light says that it does."""
    page.route("**/fleet/live", lambda route: route.abort())
    report(workload, {"loss": [1.0]})
    page.goto(f"/?q={workload}")
    expect(page.get_by_role("status").first).to_have_text("asking every 2 s")
    report(workload, {"loss": [0.125]}, first=1)
    expect(page.locator(".board td.loss")).to_contain_text("0.125")


def test_try_now_asks_at_once(page, report, workload):
    """After an outage the retry button brings the page up to date."""
    page.route("**/api/**", lambda route: route.abort())
    page.goto(f"/?q={workload}")
    report(workload, {"loss": [1.0]})
    retry = page.get_by_role("button", name="Try now")
    expect(retry).to_be_visible()
    page.unroute("**/api/**")
    retry.click()
    expect(page.get_by_role("link", name=workload)).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_hidden_page_asks_for_nothing(page, report, workload):
    """While its tab is hidden a page sends no request; seen again, it asks at once."""
    report(workload, {"loss": [1.0]})
    page.clock.install()
    page.goto(f"/?q={workload}")
    expect(page.get_by_role("link", name=workload)).to_be_visible()
    _hide(page, hidden=True)
    expect(page.get_by_role("status").first).to_have_text("paused")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.run_for(60_000)
    assert asked == []
    with page.expect_request("**/api/v1/workloads**"):
        _hide(page, hidden=False)


def test_a_theme_choice_stays(page):
    """Switching to dark holds after a reload."""
    page.emulate_media(color_scheme="light")
    page.goto("/")
    page.get_by_role("button", name="Switch to dark").click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.get_by_role("button", name="Switch to light")).to_be_visible()


def _hide(page, *, hidden):
    page.evaluate(
        """hidden => {
          Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )
