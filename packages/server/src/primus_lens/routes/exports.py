"""Every point as one file, streamed: of any size, in bounded memory. Called by routes/points."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence

import msgspec
from fastapi import Response
from starlette.responses import StreamingResponse

from primus_lens.query import tables
from primus_lens.query.pieces import Piece, pieces
from primus_lens.query.tables import Encoder, Form, Layout
from primus_lens.store.database import Database
from primus_lens.store.points_read import Span


class Part(msgspec.Struct, frozen=True):
    """What a file holds of one workload. count: of its points, None where that is not known."""

    span: Span
    names: Sequence[str]
    count: int | None


async def streamed(
    database: Database, parts: Sequence[Part], form: Form, layout: Layout, etag: str
) -> Response:
    """The file, named by its workload. Raises NotInstalled for Parquet without pyarrow.

    The first piece is read before the status is sent, so that a failing database is still a 503.
    """
    names = list(dict.fromkeys(name for part in parts for name in part.names))
    encoder = tables.encoder(form, layout, names)
    coming = _pieces(database, parts)
    first = await anext(coming, None)
    title = parts[0].span.workload_uid if len(parts) == 1 else "workloads"
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", title)
    headers = {
        "ETag": etag,
        "Cache-Control": "no-cache",
        "Content-Disposition": f'attachment; filename="{plain}.{form}"',
    }
    counts = [part.count for part in parts]
    if None not in counts:
        headers["X-Total-Points"] = str(sum(count or 0 for count in counts))
    return StreamingResponse(
        _encoded(first, coming, encoder), media_type=tables.MEDIA[form], headers=headers
    )


async def _pieces(database: Database, parts: Sequence[Part]) -> AsyncIterator[Piece]:
    for part in parts:
        async for piece in pieces(database, part.span, part.names):
            yield piece


async def _encoded(
    piece: Piece | None, more: AsyncIterator[Piece], encoder: Encoder
) -> AsyncIterator[bytes]:
    while piece is not None:
        yield await asyncio.to_thread(encoder.encode, piece)  # 1 us a point
        piece = await anext(more, None)
    yield encoder.end()
