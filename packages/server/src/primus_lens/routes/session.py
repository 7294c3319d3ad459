"""Signing in: the page hands over a token once and gets a cookie that no script can read.

The cookie holds the token itself, so a revoked token ends its sessions and nothing else is stored.
"""

import time
from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from primus_lens.model import errors
from primus_lens.routes import access, problems
from primus_lens.routes import body as bodies
from primus_lens.settings import LimitSettings
from primus_lens.store.tokens import TokenBook

_PATH = "/session"
_LIMITS = LimitSettings(body_bytes=4096, inflated_bytes=4096)  # a stranger may send this
_KEPT_S = 30 * 86_400  # a dashboard on the wall is not signed in every morning


class SignIn(msgspec.Struct, frozen=True):
    """What the page sends."""

    token: str


def routes(book: TokenBook | None) -> list[Route]:
    """GET, POST and DELETE /session. book: None where no token is needed; GET says so then."""
    if book is None:
        return [Route(_PATH, _not_needed, methods=["GET"], name="session")]
    answers = {"GET": _state(book), "POST": _sign_in(book), "DELETE": _sign_out}
    return [
        Route(_PATH, answer, methods=[method], name=f"session {method}")
        for method, answer in answers.items()
    ]


async def _not_needed(_: Request) -> Response:
    return _told(signed_in=False)


def _state(book: TokenBook) -> Callable[[Request], Awaitable[Response]]:
    async def state(request: Request) -> Response:
        """Whether the browser is signed in, which the page cannot see from its cookie."""
        try:
            await access.admit(book, request.cookies.get(access.COOKIE, ""), "read")
        except errors.Rejected:
            return _told(signed_in=False)
        return _told(signed_in=True)

    return state


def _sign_in(book: TokenBook) -> Callable[[Request], Awaitable[Response]]:
    async def sign_in(request: Request) -> Response:
        """Set the cookie for a token of scope read."""
        bodies.refuse_other_than_json(request)  # which also keeps forms of other sites out
        given = _decoded(await bodies.read_json_bytes(request, _LIMITS)).token.strip()
        token = await access.admit(book, given, "read")
        left_s = _KEPT_S if token.expires_at is None else token.expires_at - time.time()
        answer = _told(signed_in=True)
        _set_cookie(request, answer, given, max_age_s=min(_KEPT_S, int(left_s) + 1))
        return answer

    return sign_in


async def _sign_out(request: Request) -> Response:
    """Take the cookie back; the token itself stays as it is."""
    answer = _told(signed_in=False)
    _set_cookie(request, answer, "", max_age_s=0)
    return answer


def _decoded(body: bytes) -> SignIn:
    try:
        return msgspec.json.decode(body, type=SignIn)
    except msgspec.DecodeError as error:
        # Not msgspec's own words: they may quote what was sent.
        raise errors.MalformedBody('the body must be {"token": "lens_…"}') from error


def _told(*, signed_in: bool) -> Response:
    return problems.json_response({"signed_in": signed_in}, headers={"Cache-Control": "no-store"})


def _set_cookie(request: Request, answer: Response, value: str, *, max_age_s: int) -> None:
    # Behind a proxy that ends TLS only the browser knows, and says it with every POST and DELETE.
    asked_at = request.headers.get("origin", "")
    answer.set_cookie(
        access.COOKIE,
        value,
        max_age=max_age_s,
        path="/",
        secure=request.url.scheme == "https" or asked_at.startswith("https://"),
        httponly=True,
        samesite="strict",
    )
