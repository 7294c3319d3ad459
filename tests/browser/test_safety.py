"""What a hostile job could try on the reader, and what the pages must never do."""

import re
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import expect

HOSTILE = [
    "<script>window.hit=1</script>",
    "<img src=x onerror=window.hit=1>",
    '"><svg onload=window.hit=1>',
    "';window.hit=1;//",
    "javascript:window.hit=1",
    "{{constructor.constructor('window.hit=1')()}}",
    "${window.hit=1}",
    "<iframe srcdoc='<script>parent.hit=1</script>'>",
    "</style><script>window.hit=1</script>",
    "<body onload=window.hit=1>",
    "<input autofocus onfocus=window.hit=1>",
    "<details open ontoggle=window.hit=1>",
    "<video><source onerror=window.hit=1></video>",
    "<math href=javascript:window.hit=1>click</math>",
    "<a href=javascript:window.hit=1>click</a>",
    "<svg><script>window.hit=1</script></svg>",
    "<svg><animate onbegin=window.hit=1 attributeName=x>",
    "<object data=javascript:window.hit=1></object>",
    "<embed src=javascript:window.hit=1>",
    "<link rel=stylesheet href=javascript:window.hit=1>",
    "<meta http-equiv=refresh content='0;url=javascript:window.hit=1'>",
    "<base href=javascript:window.hit=1//>",
    "<form action=javascript:window.hit=1><button>go</button></form>",
    "<template><script>window.hit=1</script></template>",
    "<noscript><p title='</noscript><img src=x onerror=window.hit=1>'>",
    "' onmouseover='window.hit=1",
    '" style="background:url(javascript:window.hit=1)',
    "`-window.hit=1-`",
    "data:text/html,<script>window.hit=1</script>",
    "&lt;b onmouseover=window.hit=1&gt;\u202egpj.exe",
]


MARKUP = "main :is(script, iframe, img, object, embed, form, svg:not(.spark))"


def test_hostile_names_run_nothing_and_are_read_as_written(page, report, workload):
    """Metric, run, project, tag and setting names full of markup are text and run nothing."""
    for i, text in enumerate(HOSTILE):
        run = {"name": text, "project": text, "tags": [text], "config": {text: text}}
        report(workload, {text: [1.0, float("nan"), 2.0]}, run_id=f"r{i}", run=run)
    page.goto(f"/?q={workload}")
    expect(page.get_by_role("link", name=HOSTILE[-1])).to_be_visible()
    assert page.locator(MARKUP).count() == 0
    page.get_by_role("link", name=HOSTILE[-1]).click()
    expect(page.locator("[data-metric]")).to_have_count(len(HOSTILE))
    names = {card.get_attribute("data-metric") for card in page.locator("[data-metric]").all()}
    assert names == set(HOSTILE)
    expect(page.locator(".u-over").first).to_be_visible()
    page.locator(".u-over").first.hover()
    page.get_by_role("link", name="Runs & config").click()
    expect(page.locator(".panel table").first).to_contain_text(HOSTILE[0])
    expect(page.locator(".panel table").last).to_contain_text(HOSTILE[0])
    assert page.evaluate("window.hit") is None
    assert page.locator(MARKUP).count() == 0
    page.goto(f"/compare?w={workload}")
    expect(page.locator(".runs tbody tr")).to_have_count(len(HOSTILE))
    expect(page.locator(".differences tbody th")).to_have_count(len(HOSTILE) + 1)
    page.get_by_label("Group by", exact=True).select_option(HOSTILE[0])
    expect(page.get_by_role("list", name="Groups")).to_contain_text(HOSTILE[0])
    assert page.evaluate("window.hit") is None
    assert page.locator(MARKUP).count() == 0


def test_a_hostile_uid_runs_nothing(page, report, workload):
    """A workload uid full of markup is text in the list and on its own page."""
    uid = f"<img src=x onerror=window.hit=1>{workload}"
    report(uid, {"loss": [1.0, 2.0]})
    page.goto(f"/?q={workload}")
    page.get_by_role("link", name=uid).click()
    expect(page.get_by_role("heading", name=uid)).to_be_visible()
    assert page.evaluate("window.hit") is None


@pytest.mark.parametrize("path", ["/", "/workloads/{workload}", "/compare?w={workload}", "/docs"])
def test_no_request_leaves_the_server(page, report, workload, server, path):
    """Everything a page loads comes from the server it came from."""
    report(workload, {"loss": [1.0, 2.0]})
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.format(workload=workload))
    page.wait_for_load_state("networkidle") if path == "/docs" else expect(
        page.get_by_role("status").first
    ).to_have_text(re.compile("live|every 10 s"))
    ours = urlsplit(server.url).netloc
    assert [url for url in asked if urlsplit(url).netloc not in (ours, "")] == []
    assert len(asked) > 3


@pytest.mark.parametrize("path", ["/", "/workloads/{workload}", "/compare?w={workload}", "/docs"])
def test_pages_break_no_rule_of_their_content_policy(page, report, workload, path):
    """The browser reports no breach of the policy while a page draws itself."""
    report(workload, {"loss": [1.0, float("nan"), 2.0]})
    page.add_init_script(
        "window.breaches = [];"
        "document.addEventListener('securitypolicyviolation',"
        " event => window.breaches.push(event.violatedDirective + ' ' + event.blockedURI));"
    )
    page.goto(path.format(workload=workload))
    expect(page.locator(".board, canvas, .swagger-ui .opblock").first).to_be_visible()
    assert page.evaluate("window.breaches") == []


@pytest.mark.parametrize("path", ["/", "/workloads/any", "/compare", "/docs", "/static/api.js"])
def test_the_server_sends_the_content_policy(server, path):
    """Pages and their files arrive with a policy that allows this server and nothing else."""
    policy = httpx.get(server.url + path).headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy


def test_the_api_page_shows_the_endpoints(page):
    """The API page lists the server's own endpoints."""
    page.goto("/docs")
    expect(
        page.locator(".opblock-summary-path", has_text="/api/v1/workloads").first
    ).to_be_visible()
