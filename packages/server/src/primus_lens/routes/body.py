"""A request's body, read within its limits; inflating inflates it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from starlette.requests import ClientDisconnect, Request

from primus_lens.model import errors
from primus_lens.routes.inflating import CODINGS, inflate
from primus_lens.settings import LimitSettings

_INFLATE_IN_THREAD = 64 << 10  # bytes as sent: about a millisecond of inflating
_INFLATING = ThreadPoolExecutor(1, "inflate")  # one, so that few large bodies are held at a time


def declared_length(request: Request, limits: LimitSettings) -> int:
    """What Content-Length says; 0 when it says nothing. Raises TooLarge."""
    given = request.headers.get("content-length", "")
    length = int(given) if given.isdigit() else 0
    if length > limits.body_bytes:
        raise _too_large(length, limits)
    return length


def refuse_other_than_json(request: Request) -> None:
    """Raises UnsupportedBody unless the body is announced as JSON."""
    content_type = request.headers.get("content-type", "")
    if content_type.split(";")[0].strip().lower() != "application/json":
        raise errors.UnsupportedBody(
            f'the content type is "{content_type}"; it must be application/json'
        )


def _nothing(_: int) -> None:
    """Whom the growth of a body does not concern."""


async def read_json_bytes(
    request: Request, limits: LimitSettings, grown: Callable[[int], None] = _nothing
) -> bytes:
    """The body as JSON text, inflated when it came compressed.

    grown: told each time so many more bytes are held; what it raises ends the reading.
    Raises UnsupportedBody, TooLarge, MalformedBody.
    """
    coding = _coding(request)
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limits.body_bytes:
                raise _too_large(size, limits)
            grown(len(chunk))
            chunks.append(chunk)
    except ClientDisconnect as error:  # nobody reads the answer, but it is counted
        raise errors.MalformedBody("the body broke off") from error
    body = b"".join(chunks)
    if not coding:
        return body
    if size > _INFLATE_IN_THREAD:
        loop = asyncio.get_running_loop()
        content = await loop.run_in_executor(_INFLATING, inflate, coding, body, limits)
    else:
        content = inflate(coding, body, limits)
    grown(len(content))
    return content


def _coding(request: Request) -> str:
    """How the body is compressed; "" when it is not."""
    given = ", ".join(request.headers.getlist("content-encoding"))
    codings = [each.strip().lower() for each in given.split(",")]
    named = [each for each in codings if each not in {"", "identity"}]
    if not named:
        return ""
    if len(named) > 1 or named[0] not in CODINGS:
        raise errors.UnsupportedBody(
            f'the content encoding is "{given}"; it must be one of {", ".join(CODINGS)}, '
            "applied once, or left out"
        )
    return named[0]


def _too_large(size: int, limits: LimitSettings) -> errors.TooLarge:
    return errors.TooLarge(
        f"the body has {size} bytes or more; at most {limits.body_bytes} are allowed"
    )
