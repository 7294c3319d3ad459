"""A real Chromium in front of a real server, and a way to report to that server."""

import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

HERE = Path(__file__).parent
DESKTOP = {"width": 1440, "height": 900}

expect.set_options(timeout=15_000)  # pages refresh every 2 s; a busy machine may take several


def pytest_collection_modifyitems(items):
    """Mark the tests that open a page, so that `-m "not browser"` leaves them out."""
    for item in items:
        if HERE in item.path.parents and "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)


# Not as long as the session: while Playwright runs, its event loop occupies the thread and no other
# test there could call asyncio.run.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser of a file of tests; each test opens a window of its own in it."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed: sh tests/browser/have_chromium.sh")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, server) -> Iterator[Page]:
    """A fresh window on the server; a fault the page's own code throws fails the test."""
    context = chromium.new_context(viewport=DESKTOP, base_url=server.url, locale="en-US")
    context.set_default_timeout(15_000)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    context.close()
    assert faults == []


@pytest.fixture(scope="session")
def reporter():
    """Makes what `report` is for any server: for what the tests of a file share, for one's own."""
    return _reporter


@pytest.fixture
def report(server):
    """Report metrics to the server the way an exporter does.

    metrics: name to values by step, from `first`. run: what the run is, as in protocol/v1.
    """
    return _reporter(server)


def _reporter(server):
    def send(uid, metrics, *, run_id="r1", first=0, run=None):
        points = [
            {"name": name, "step": first + i, "value": _sayable(value), "timestamp": 1.7e9 + i}
            for name, values in metrics.items()
            for i, value in enumerate(values)
        ]
        body = {"source": "wandb", "workload_uid": uid, "run_id": run_id, "metrics": points}
        if run is not None:
            body["run"] = run
        answer = httpx.post(f"{server.url}/api/v1/wandb/metrics", json=body, timeout=60)
        assert answer.status_code == 200, answer.text

    return send


def _sayable(value):
    """JSON has no NaN: protocol/v1 sends such values as words."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
