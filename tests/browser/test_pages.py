"""How pages and their files are served, without a browser."""

import asyncio
import re

import httpx
import pytest
from starlette.applications import Starlette

from primus_lens.web import pages

OWN = [path for path in pages.STATIC.rglob("*") if path.is_file() and "vendor" not in path.parts]
LOADED = re.compile(r"""(?:from|import|src=|href=)\s*["']((?:\./|\.\./|/static/)[^"']+)["']""")


def get(path, **headers):
    """Ask the pages alone for one path."""
    asked_with = {name.replace("_", "-"): value for name, value in headers.items()}

    async def ask():
        app = httpx.ASGITransport(Starlette(routes=list(pages.routes())))
        async with httpx.AsyncClient(transport=app, base_url="http://lens") as client:
            return await client.get(path, headers=asked_with)

    return asyncio.run(ask())


def test_an_unchanged_file_is_answered_304():
    """A browser that has the file gets no body."""
    etag = get("/static/app.css").headers["etag"]
    again = get("/static/app.css", if_none_match=etag)
    assert (again.status_code, again.content) == (304, b"")


def test_vendored_files_are_kept_for_a_year():
    """Their path names their version, so a browser need not ask again."""
    kept = get("/static/vendor/htm-3.1.1/htm.mjs").headers["cache-control"]
    assert kept == "public, max-age=31536000, immutable"


def test_our_files_are_asked_for_each_time():
    """After an upgrade no browser runs yesterday's modules."""
    assert get("/static/workload.js").headers["cache-control"] == "no-cache"


def test_files_are_packed_for_those_who_ask():
    """The same bytes arrive with and without gzip, in fewer with it."""
    name = "/static/vendor/uplot-1.6.32/uPlot.min.js"
    packed = get(name, accept_encoding="gzip")
    plain = get(name, accept_encoding="identity")
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content


@pytest.mark.parametrize(
    "name",
    ["../pages.py", "%2e%2e/pages.py", "vendor/README.md", "nothing.js", "a%00b.js", "vendor"],
)
def test_only_files_of_the_pages_are_sent(name):
    """Nothing outside the folder, and nothing in it that is no part of a page, is sent."""
    assert get(f"/static/{name}").status_code == 404


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_every_file_a_page_names_exists(path):
    """No page, module or stylesheet names a file the server does not have."""
    for name in LOADED.findall(path.read_text()):
        target = name if name.startswith("/") else "/static/" + name.removeprefix("./")
        assert get(target).status_code == 200, name


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_no_file_of_ours_names_another_host(path):
    """Pages work where no other host can be reached."""
    text = path.read_text().replace("http://www.w3.org/2000/svg", "")
    assert re.findall(r"https?://\w", text) == []


@pytest.mark.parametrize("name", ["workloads", "workload", "compare"])
def test_a_page_names_all_its_modules_beforehand(name):
    """A browser fetches every module of a page at once, not one import after another."""
    html = (pages.STATIC / f"{name}.html").read_text()
    named = set(re.findall(r'rel="modulepreload" href="/static/([^"]+)"', html))
    assert named == _imports(f"{name}.js")


def _imports(entry):
    """Every module that one leads to."""
    found, left = set(), [entry]
    while left:
        path = pages.STATIC / left.pop()
        for name in re.findall(r'(?:from|import)\s*"(\.[^"]+)"', path.read_text()):
            module = (path.parent / name).resolve().relative_to(pages.STATIC).as_posix()
            if module not in found:
                found.add(module)
                left.append(module)
    return found
