"""Serves the pages and everything they load, from this distribution alone.

The room before the API: `routes` mounts what `routes()` returns beside the endpoints the pages ask.
The pages are files; whatever they show they fetch from `/api/v1`, so nothing here knows a workload.
"""

import gzip
import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

STATIC: Final = Path(__file__).parent / "static"

MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

# Nothing but files of this server runs, styles, or is asked for anything: a hostile metric name
# that slipped through as markup would still be inert.
CONTENT_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

GUARD_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

# The path of a vendored file names its version, so its content never changes; our own are asked
# for again each time and answered 304.
KEPT_FOR_A_YEAR: Final = "public, max-age=31536000, immutable"
ASKED_AGAIN: Final = "no-cache"

GZIP_FROM_BYTES: Final = 1024  # below one network packet there is nothing to gain


class Asset(NamedTuple):
    """One file as it is sent.

    packed: the body under gzip, None where that would not be smaller. etag: of the plain body.
    """

    body: bytes
    packed: bytes | None
    etag: str
    media_type: str


def routes() -> list[Route]:
    """Return the routes of the pages: `/`, `/workloads/{uid}`, `/compare`, `/docs`, `/static/…`."""
    return [
        Route("/", _page("workloads.html"), name="workloads page"),
        Route("/workloads/{uid:path}", _page("workload.html"), name="workload page"),
        Route("/compare", _page("compare.html"), name="compare page"),
        Route("/docs", _page("docs.html"), name="API page"),
        Route("/static/{name:path}", _static, name="static"),
    ]


# Plain functions, not coroutines: Starlette runs them in a worker thread, and packing the largest
# file (1.7 MB) takes tens of milliseconds the first time.
def _page(name: str) -> Callable[[Request], Response]:
    """Answer with one HTML file whatever the path says: the page reads the path itself."""

    def page(request: Request) -> Response:
        return _answer(request, name)

    return page


def _static(request: Request) -> Response:
    """Answer with a file of `static/`; only names found there are known, so none leads out."""
    name: str = request.path_params["name"]
    if name not in _names():
        raise HTTPException(404, f"there is no file {name!r} among the pages' files")
    return _answer(request, name)


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    """Every file that may be sent, by its path under `static/`."""
    return frozenset(
        path.relative_to(STATIC).as_posix()
        for path in STATIC.rglob("*")
        if path.suffix in MEDIA_TYPES and path.is_file()
    )


def _answer(request: Request, name: str) -> Response:
    path = STATIC / name
    asset = _load(path, path.stat().st_mtime_ns)
    headers = GUARD_HEADERS | {
        "Cache-Control": KEPT_FOR_A_YEAR if name.startswith("vendor/") else ASKED_AGAIN,
        "ETag": asset.etag,
        "Vary": "Accept-Encoding",
    }
    if asset.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    body = asset.body
    if asset.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        body = asset.packed
        headers["Content-Encoding"] = "gzip"
    return Response(body, headers=headers, media_type=asset.media_type)


@lru_cache(maxsize=256)
def _load(path: Path, changed_ns: int) -> Asset:  # noqa: ARG001  an edited file is read again
    body = path.read_bytes()
    packed = gzip.compress(body, compresslevel=9, mtime=0) if len(body) >= GZIP_FROM_BYTES else None
    # Weak: the packed and the plain body share it.
    etag = f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'
    return Asset(body=body, packed=packed, etag=etag, media_type=MEDIA_TYPES[path.suffix])
