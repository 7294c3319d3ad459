"""A request's body, read within its limits, inflated without trusting it."""

import asyncio
import zlib

from starlette.requests import Request

from primus_lens.model import errors
from primus_lens.settings import LimitSettings

_INFLATE_IN_THREAD = 64 << 10  # bytes of gzip: about a millisecond of inflating


def declared_length(request: Request, limits: LimitSettings) -> int:
    """What Content-Length says; the limit when it says nothing. Raises TooLarge."""
    given = request.headers.get("content-length", "")
    length = int(given) if given.isdigit() else limits.body_bytes
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


async def read_json_bytes(request: Request, limits: LimitSettings) -> bytes:
    """The body as JSON text, inflated when it came as gzip.

    Raises UnsupportedBody, TooLarge, MalformedBody.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limits.body_bytes:
            raise _too_large(size, limits)
        chunks.append(chunk)
    body = b"".join(chunks)
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "identity":
        return body
    if encoding != "gzip":
        raise errors.UnsupportedBody(
            f'the content encoding is "{encoding}"; it must be gzip or left out'
        )
    if size > _INFLATE_IN_THREAD:
        return await asyncio.to_thread(inflate, body, limits)
    return inflate(body, limits)


def inflate(body: bytes, limits: LimitSettings) -> bytes:
    """A gzip member's content. Raises TooLarge for a bomb, MalformedBody for what is no gzip."""
    stream = zlib.decompressobj(wbits=31)
    # The ratio counts from the first mebibyte on: small bodies of equal rows compress 200:1.
    most = min(limits.inflated_bytes, max(1 << 20, limits.inflated_ratio * len(body)))
    try:
        content = stream.decompress(body, most + 1)
    except zlib.error as error:
        raise errors.MalformedBody(f"the body is not valid gzip: {error}") from error
    if len(content) > most:
        raise errors.TooLarge(
            f"the body inflates to more than {most} bytes; "
            f"at most {limits.inflated_bytes} and {limits.inflated_ratio}:1 are allowed"
        )
    if not stream.eof or stream.unused_data:
        raise errors.MalformedBody("the body is not one whole gzip member")
    return content


def _too_large(size: int, limits: LimitSettings) -> errors.TooLarge:
    return errors.TooLarge(
        f"the body has {size} bytes or more; at most {limits.body_bytes} are allowed"
    )
