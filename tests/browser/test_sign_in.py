"""A reader in front of a server that asks for a token."""

import time

import pytest
from playwright.sync_api import expect

from primus_lens.store import tokens


@pytest.fixture
def guarded(chromium, guarded_server):
    """A fresh window on a server that asks for tokens; a fault of the page's own fails the test."""
    context = chromium.new_context(base_url=guarded_server.url, locale="en-US")
    context.set_default_timeout(15_000)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.add_init_script(
        "window.breaches = [];"
        "document.addEventListener('securitypolicyviolation',"
        " event => window.breaches.push(event.violatedDirective + ' ' + event.blockedURI));"
    )
    yield page
    assert page.evaluate("window.breaches") == []
    context.close()
    assert faults == []


@pytest.fixture
def reported(guarded_server, make_token, workload):
    """A workload that has reported to that server."""
    body = {"workload_uid": workload, "metrics": [{"name": "loss", "value": 0.5, "step": 1}]}
    headers = {"Authorization": f"Bearer {make_token('ingest')}"}
    assert guarded_server.post("/wandb/metrics", body, **headers).status_code == 200
    return workload


def sign_in(page, token):
    """Type a token into the form."""
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def test_reader_signs_in_and_out(guarded, make_token, reported):
    """The page asks for a token in words, shows the data once it has one, and forgets both."""
    guarded.goto(f"/?q={reported}")
    expect(guarded.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(guarded.get_by_text("primus-lens token create --scope read")).to_be_visible()
    expect(guarded.get_by_role("button", name="Sign out")).to_have_count(0)

    sign_in(guarded, make_token("read"))
    expect(guarded.get_by_role("link", name=reported)).to_be_visible()
    expect(guarded.get_by_role("heading", name="Sign in")).to_have_count(0)

    guarded.get_by_role("button", name="Sign out").click()
    expect(guarded.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(guarded.get_by_role("link", name=reported)).to_have_count(0)
    assert guarded.context.cookies() == []


def test_signed_in_reader_goes_from_page_to_page(guarded, make_token, reported):
    """The cookie opens every page of the server, the next day too."""
    guarded.goto(f"/workloads/{reported}")
    sign_in(guarded, make_token("read"))
    expect(guarded.locator("[data-metric=loss]")).to_be_visible()
    guarded.goto(f"/?q={reported}")
    expect(guarded.get_by_role("link", name=reported)).to_be_visible()
    expect(guarded.get_by_role("button", name="Sign out")).to_be_visible()
    guarded.goto("/docs")
    shown = guarded.locator(".opblock-summary-path", has_text="/api/v1/workloads")
    expect(shown.first).to_be_visible()


def test_no_script_can_read_the_token(guarded, make_token):
    """After signing in the token is in a cookie that scripts do not see, and nowhere else."""
    guarded.goto("/")
    sign_in(guarded, make_token("read"))
    expect(guarded.get_by_role("button", name="Sign out")).to_be_visible()
    [cookie] = guarded.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert guarded.evaluate("document.cookie") == ""
    assert guarded.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])") == "[{},{}]"


@pytest.mark.parametrize(
    "scope, words", [(None, "knows no such token"), ("ingest", "needs the scope read")]
)
def test_refused_token_is_told_in_words(guarded, make_token, scope, words):
    """A token that is none, or that cannot read, leaves the form there and says why."""
    guarded.goto("/")
    sign_in(guarded, make_token(scope) if scope else "lens_typo")
    expect(guarded.get_by_role("alert")).to_contain_text(words)
    expect(guarded.get_by_role("heading", name="Sign in")).to_be_visible()


def test_revoked_token_ends_the_session(guarded, guarded_server, make_token, reported):
    """A page that is open when its token is revoked asks for another and shows nothing any more."""
    token = make_token("read")
    guarded.goto(f"/?q={reported}")
    sign_in(guarded, token)
    expect(guarded.get_by_role("link", name=reported)).to_be_visible()
    guarded_server.at_database(
        lambda database: tokens.revoke(database, token.split("_")[1], now=time.time())
    )
    expect(guarded.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(guarded.get_by_role("link", name=reported)).to_have_count(0)


def test_api_page_leads_to_the_sign_in(guarded):
    """The description of the API is for readers with a token; others are shown the way."""
    guarded.goto("/docs")
    guarded.get_by_role("link", name="Sign in").click()
    expect(guarded.get_by_role("heading", name="Sign in")).to_be_visible()


def test_page_of_an_open_server_asks_nothing(page):
    """Where no token is needed there is neither a form nor a way to sign out."""
    page.goto("/")
    expect(page.get_by_role("status").first).to_have_text("live")
    expect(page.get_by_role("heading", name="Sign in")).to_have_count(0)
    expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
