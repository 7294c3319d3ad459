"""Errors as answers: {"error": sentence, "detail": [...]}; the only room that knows statuses."""

import logging
import re

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from primus_lens.model import errors
from primus_lens.store.database import DataRefused

log = logging.getLogger(__name__)

_STATUS: dict[type[errors.LensError], int] = {
    errors.MalformedBody: 400,
    errors.UnknownWorkload: 400,
    errors.BadQuery: 400,
    errors.TokenRefused: 401,
    errors.ScopeMissing: 403,
    errors.UnknownCluster: 404,
    errors.NotKnown: 404,
    errors.PartlyKnown: 409,
    errors.TooLarge: 413,
    errors.UnsupportedBody: 415,
    errors.InvalidField: 422,
    errors.TooLate: 422,
    DataRefused: 422,
    errors.Rejected: 400,
    errors.NotInstalled: 501,
    errors.TryLater: 503,
    errors.LensError: 500,
}

_CHALLENGE = 'Bearer realm="primus-lens"'  # RFC 6750, section 3


def json_response(
    document: object, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """A JSON answer, encoded by msgspec: large integers stay exact."""
    return Response(
        msgspec.json.encode(document), status, headers=headers, media_type="application/json"
    )


def status_of(error: errors.LensError) -> int:
    """The HTTP status of an error: that of its nearest class in the table."""
    return next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)


def response(error: errors.LensError) -> Response:
    """An error as an answer."""
    document: dict[str, object] = {"error": error.message, "code": error.code}
    if error.detail:
        document["detail"] = error.detail
    headers = {}
    if isinstance(error, errors.TryLater):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, errors.PartlyKnown):
        document["accepted"] = error.accepted
    if isinstance(error, errors.TokenRefused):
        headers["WWW-Authenticate"] = _CHALLENGE
    if isinstance(error, errors.ScopeMissing):
        wanted = f'error="insufficient_scope", scope="{error.needed}"'
        headers["WWW-Authenticate"] = f"{_CHALLENGE}, {wanted}"
    return json_response(document, status_of(error), headers)


async def on_lens_error(_: Request, error: Exception) -> Response:
    """Starlette's handler for our own errors."""
    if not isinstance(error, errors.LensError):  # only registered for LensError
        raise error
    if isinstance(error, errors.Defect):
        log.error("request failed", exc_info=error)
    return response(error)


async def on_defect(_: Request, error: Exception) -> Response:
    """Starlette's handler for everything else: our bug, told without its insides."""
    log.error("request failed", exc_info=error)
    return json_response({"error": "the server failed; its log says how", "code": "defect"}, 500)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own refusals: no such path, a path asked in a way it does not know."""
    if not isinstance(error, HTTPException):  # only registered for it
        raise error
    words = {
        404: f"there is nothing at {request.url.path}",
        405: f"{request.url.path} does not answer {request.method}",
    }
    document = {"error": words.get(error.status_code, error.detail), "code": "http"}
    headers = dict(error.headers or {})
    if "Allow" in headers:
        headers["Allow"] = _allowed(request, headers["Allow"])
    return json_response(document, error.status_code, headers)


def _allowed(request: Request, told: str) -> str:
    """The methods that the OpenAPI document knows for a path; Starlette tells one route's alone."""
    paths: dict[str, dict[str, object]] = request.app.openapi()["paths"]
    texts = {path: re.split(r"\{[^}]*\}", path) for path in paths}
    fitting = [
        path
        for path, between in texts.items()
        if re.fullmatch(".+".join(map(re.escape, between)), request.url.path, re.DOTALL)
    ]
    if not fitting:
        return told
    closest = max(fitting, key=lambda path: sum(map(len, texts[path])))
    return ", ".join(sorted(method.upper() for method in paths[closest]))
