"""The demo, a real wandb job that crashes, goes on and goes wrong, as the pages show it."""

import re

import httpx
import pytest
import train_twice
from playwright.sync_api import expect


@pytest.fixture(scope="module")
def demo(server):
    """The workload of the demo, trained to its end."""
    workload = train_twice.train(f"{server.url}/api/v1")
    yield workload
    httpx.delete(f"{server.url}/api/v1/workloads/{workload}").raise_for_status()


@pytest.mark.wandb
def test_the_demo_ends_as_an_alert_on_the_board_that_leads_to_its_curve(page, demo):
    """The board tells the lasting rise of its loss; its page shows crash, overflow and the rise."""
    page.goto(f"/?q={demo}&alerts=all")
    row = page.locator(".board tbody tr:not(.gap)")
    expect(row).to_have_count(1)
    expect(row.locator(".state")).to_have_text("finished")
    expect(row.locator(".steps")).to_contain_text("599 / 600")
    expect(row.locator(".alert-mark")).to_contain_text("loss spike", timeout=30_000)
    alert = page.get_by_role("region", name="Open alerts").get_by_role("listitem")
    rise = re.compile(r"train/loss rose from [\d.]+ to [\d.]+ at step 54\d")
    told = alert.filter(has_text=rise, has=page.locator(f'a[href="/workloads/{demo}"]'))
    expect(told).to_have_count(1)
    told.get_by_role("link").click()
    expect(page).to_have_url(re.compile(f"/workloads/{demo}$"))
    expect(page.get_by_role("region", name="Alerts")).to_contain_text("train/loss rose from")
    loss = page.locator('article[data-metric="train/loss"]')
    expect(loss.locator("footer")).to_have_text("600 points · restarted")
    band = loss.locator(".band")
    expect(band).to_have_attribute("title", re.compile("^Restarted: steps 201 to 260 were run ag"))
    overflow = page.locator('article[data-metric="train/grad_norm"] .mark.nan')
    expect(overflow).to_have_attribute("title", "NaN at step 150")
