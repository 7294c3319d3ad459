"""Who may ask for what: every request shows a token, but for the few that anyone may make.

Comes before every endpoint of a server that is reachable from other machines.
"""

import datetime as dt
import functools
import time
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.requests import Request, cookie_parser
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from primus_lens.model import errors, tokens
from primus_lens.model.tokens import ApiToken
from primus_lens.routes import grafana, problems, wandb_v1
from primus_lens.store.tokens import TokenBook

COOKIE = "lens_token"
OPEN_PATHS = frozenset({"/healthz", "/readyz"})  # an orchestrator's probes carry no token

READMIT = "lens.readmit"
"""In a request's scope: asks for its token once more; for answers that go on for hours."""

_NEVER_OPEN = "/api/"  # decided before any route is compared, which takes as long as the check
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_COOKIE_FOR = frozenset({"GET", "HEAD"})  # what a foreign page makes a browser send changes nothing


class AccessCheck:
    """Pure ASGI middleware. open_routes: what anyone may have, the page files and the sign-in."""

    def __init__(self, app: ASGIApp, *, book: TokenBook, open_routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._book = book
        self._open_routes = open_routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: answer 401 or 403 to a request that may not be made, pass everything else on."""
        if scope["type"] == "http" and not self._is_open(scope):
            needed = scope_needed(scope["method"], scope["path"])
            try:
                await admit(self._book, shown(scope), needed)
            except errors.LensError as error:
                answer = await problems.on_lens_error(Request(scope), error)
                await answer(scope, receive, send)
                return
            scope[READMIT] = functools.partial(admit, self._book, shown(scope), needed)
        await self._app(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        path: str = scope["path"]
        if path.startswith(_NEVER_OPEN):
            return False
        return path in OPEN_PATHS or any(
            route.matches(scope)[0] is Match.FULL for route in self._open_routes
        )


def scope_needed(method: str, path: str) -> tokens.Scope:
    """What a request needs; admin for a change that is not named here, so none is forgotten."""
    if method == "POST" and path.startswith(f"{wandb_v1.PREFIX}/"):
        return "ingest"
    if method == "POST" and grafana.reads(path):
        return "read"
    return "read" if method in _READING else "admin"


def shown(scope: Scope) -> str:
    """The token a request shows in its header or, when it only reads, its cookie; "" for none."""
    headers = Headers(scope=scope)
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    if scope["method"] in _COOKIE_FOR:
        return cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
    return ""


async def admit(book: TokenBook, text: str, needed: tokens.Scope) -> ApiToken:
    """The token of a text. Raises TokenRefused, ScopeMissing, or StoreUnavailable."""
    if not text:
        raise errors.TokenRefused(
            "this server asks for a token; send it as `Authorization: Bearer lens_…` "
            f"(it needs the scope {needed})"
        )
    parts = tokens.split(text)
    token = await book.find(parts[0]) if parts else None
    if parts is None or token is None or not token.has_secret(parts[1]):
        raise errors.TokenRefused("this server knows no such token")
    now = time.time()
    if not token.works(now):
        raise errors.TokenRefused(_no_longer(token))
    if not token.allows(needed):
        has = " and ".join(sorted(token.scopes))
        message = f"the token {token.id} has the scope {has}; this needs the scope {needed}"
        raise errors.ScopeMissing(message, needed)
    await book.note_used(token, now=now)
    return token


def _no_longer(token: ApiToken) -> str:
    what = "expired" if token.revoked_at is None else "was revoked"
    moment = token.expires_at if token.revoked_at is None else token.revoked_at
    when = dt.datetime.fromtimestamp(moment or 0.0, dt.UTC)
    return f"the token {token.id} {what} on {when:%Y-%m-%d at %H:%M} UTC"
