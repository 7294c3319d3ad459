"""Answers to readers: with an ETag, so that nobody is told twice; whole or row by row."""

import hashlib
from collections.abc import AsyncIterator, Sequence

import msgspec
from fastapi import Request, Response
from starlette.responses import StreamingResponse

from primus_lens.query.curves import Page, PointRow
from primus_lens.store.points_read import Span

REVALIDATE = {"Cache-Control": "no-cache"}


def tag(*parts: str) -> str:
    """The ETag of whatever these texts tell apart."""
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return f'"{digest[:32]}"'


def known(request: Request, etag: str) -> Response | None:
    """304 when the reader has what this tag names."""
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"ETag": etag, **REVALIDATE})
    return None


def tagged(request: Request, document: object, etag: str = "") -> Response:
    """A JSON answer, or 304 when the reader has it already. etag: of its content if empty."""
    body = msgspec.json.encode(document)
    etag = etag or tag(body.decode())
    headers = {"ETag": etag, **REVALIDATE}
    return known(request, etag) or Response(body, headers=headers, media_type="application/json")


async def streamed(
    span: Span, rows: AsyncIterator[Sequence[PointRow]], etag: str, page: Page | None = None
) -> Response:
    """The specification's envelope around rows of any number, in bounded memory.

    page: of the rows; where it has a limit the answer tells its `next`.

    The first rows are read before the status is sent, so that a failing database is still a 503.
    """
    first = await anext(rows, None)
    return StreamingResponse(
        _enveloped(span, first, rows, page or Page()),
        media_type="application/json",
        headers={"ETag": etag, **REVALIDATE},
    )


async def _enveloped(
    span: Span,
    some: Sequence[PointRow] | None,
    more: AsyncIterator[Sequence[PointRow]],
    page: Page,
) -> AsyncIterator[bytes]:
    workload_uid, data_source = map(msgspec.json.encode, (span.workload_uid, span.data_source))
    yield b'{"workload_uid":%b,"data_source":%b,"data":[' % (workload_uid, data_source)
    count = 0
    while some:
        yield (b"," if count else b"") + msgspec.json.encode(some)[1:-1]
        count += len(some)
        some = await anext(more, None)
    following = b"" if page.limit is None else b',"next":%b' % msgspec.json.encode(page.next)
    yield b'],"total_count":%d%b}' % (count, following)
