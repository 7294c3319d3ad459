"""A workload's metrics: which there are, their points as rows, their curves as columns.

Comes after routes/workload_metrics; reads through store/chunk_read and points_read,
draws through drawing.
"""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal

import msgspec

from primus_lens.model import errors, naming
from primus_lens.query import cursors, drawing
from primus_lens.query.drawing import Curve, View
from primus_lens.store import chunk_read, inventory, points_read
from primus_lens.store.database import Database
from primus_lens.store.dropped_read import Told
from primus_lens.store.points_read import Place, Span

_LONGEST_FLOAT = 24  # characters of a float64's shortest decimal form


class PointRow(msgspec.Struct, frozen=True):
    """One point in the specification's shape. value: JSON as stored, so nothing is rounded.

    timestamp: Unix milliseconds of the point's own time.
    """

    metric_name: str
    value: msgspec.Raw
    timestamp: int
    iteration: int
    data_source: str


async def sources(database: Database, workload_uid: str) -> list[dict[str, object]]:
    """The sources of a workload with the number of their steps."""
    async with database.connection() as connection:
        found = await chunk_read.sources(connection, workload_uid)
    return [{"name": name, "count": count} for name, count in found]


async def available(
    database: Database, workload_uid: str, data_source: str
) -> list[dict[str, object]]:
    """The metrics of a workload with their sources and the number of their points."""
    async with database.connection() as connection:
        found = await chunk_read.available(connection, workload_uid, data_source)
    return [
        {"name": name, "data_source": from_sources, "count": count}
        for name, from_sources, count in found
    ]


class Page:
    """A page of points.

    limit: None for all. after: the `next` of the page before, "" for the first. next: what to ask
    the next page with, once this one is read; "" when there is none.
    """

    def __init__(self, limit: int | None = None, after: str = "") -> None:
        self.limit = limit
        self.next = ""
        self.after = _place(after) if after else None


_PLACE = msgspec.json.Decoder(Place)


def _place(told: str) -> Place:
    try:
        place: Place = _PLACE.decode(base64.urlsafe_b64decode(told))
    except ValueError as error:
        raise errors.BadQuery.of("after", told, "the `next` of an answer") from error
    return place


async def counts(database: Database, span: Span) -> dict[str, int]:
    """How many points each metric of a workload and source has, by name."""
    async with database.connection() as connection:
        found = await chunk_read.available(connection, span.workload_uid, span.data_source)
    return {name: count for name, _, count in found}


async def rows(
    database: Database, span: Span, names: Sequence[str] | None, page: Page | None = None
) -> AsyncIterator[Sequence[PointRow]]:
    """The points of a span, some at once, in order of time over all metrics; a page if asked."""
    page = page or Page()
    left = page.limit
    async with database.connection() as connection:
        points = points_read.points(connection, span, names, after=page.after)
        async with contextlib.aclosing(points):
            async for found in points:
                some = found[:left]
                if left is not None:
                    left -= len(some)
                if left == 0:
                    row = some[-1]
                    place = row["timestamp"], row["iteration"], row["serial"], row["key"]
                    page.next = base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()
                yield [_point(row) for row in some]
                if left == 0:
                    return


def _point(row: Told) -> PointRow:
    return PointRow(
        naming.metric_name(row["key"]),
        msgspec.Raw(_told(row["value"])),
        row["timestamp"],
        row["iteration"],
        row["data_source"],
    )


def _told(stored: str) -> str:
    """A stored value as JSON: numeric's 309 digits become the float64 they came from."""
    if stored == '"-0.0"':
        return "-0.0"
    if len(stored) <= _LONGEST_FLOAT or stored.startswith('"'):
        return stored
    short = repr(float(stored))
    # An integer past 2^53 may differ from its nearest float64; then all its digits count.
    return short if Decimal(short) == Decimal(stored) else stored


async def columns(
    database: Database, span: Span, names: Sequence[str], *, axis: str, most: int | None
) -> list[Curve]:
    """The asked metrics as curves, each thinned to about `most` points when given."""
    return (await read(database, span, names, View(axis, most))).curves


class Answer(msgspec.Struct, frozen=True):
    """Curves, and the cursor from which a live reader of them goes on."""

    curves: list[Curve]
    cursor: str


async def read(database: Database, span: Span, names: Sequence[str] | None, view: View) -> Answer:
    """The asked metrics, None for all, as a reader wants to see them."""
    async with database.connection() as connection:
        if names is None:
            known = await chunk_read.available(connection, span.workload_uid, span.data_source)
            names = [name for name, _, _ in known]
        along = view.metric
        found = await chunk_read.series(
            connection,
            span,
            names if along is None else [*names, along],
            replaced=view.replaced,
            beside=along,
        )
    # A million points take some 20 ms; other requests must not wait for them.
    return Answer(
        await asyncio.to_thread(drawing.drawn, found, set(names), view), cursors.of(found.seen)
    )


async def version(database: Database, workload_uid: str) -> str:
    """A text that changes whenever points of the workload are stored."""
    async with database.connection() as connection:
        return await inventory.version(connection, workload_uid)
