"""The fleet page by page, from the place where the page before ended.

Comes after routes/workload_metrics, over query/fleet. With `offset` a workload that is heard anew
between two pages moves all that follow; a place in an order that reports do not change stays put.
"""

import base64
from collections.abc import Callable
from typing import Any

import msgspec

from primus_lens.model import errors
from primus_lens.query import fleet
from primus_lens.query.fleet import Asked, Workload
from primus_lens.store.database import Database

STEADY = ("first_seen", "name", "workload_uid")
"""What a workload keeps while it reports."""

_ALL = 2**63 - 1


class Pages(msgspec.Struct, frozen=True):
    """As fleet.Page. next: where the next page begins; null at the end."""

    workloads: list[Workload]
    facets: dict[str, dict[str, int]]
    total_count: int
    next: str | None


class _Place(msgspec.Struct, frozen=True, array_like=True):
    """The last workload of a page. key: what it is sorted by."""

    sort: str
    key: int | str
    workload_uid: str


async def page(database: Database, asked: Asked, after: str, *, now: float) -> Pages:
    """The page behind a place, the first without one. asked.sort: of STEADY.

    Raises BadQuery for a place that this order did not give.
    """
    place = _place_of(after, asked.sort) if after else None
    every = msgspec.structs.replace(asked, sort="last_seen", limit=_ALL, offset=0)
    found = await fleet.workloads(database, every, now=now)
    by = asked.sort.removeprefix("-")
    largest_first = (by == "first_seen") != asked.sort.startswith("-")
    key = _key(by)
    rows = sorted(found.workloads, key=key, reverse=largest_first)
    if place is not None:
        ended = (place.key, place.workload_uid)
        rows = [row for row in rows if (key(row) < ended if largest_first else key(row) > ended)]
    rest = rows[asked.offset :]
    shown = rest[: asked.limit]
    more = len(rest) > len(shown)
    end = _text_of(_Place(asked.sort, *key(shown[-1]))) if more else None
    return Pages(shown, found.facets, found.total_count, end)


def _key(by: str) -> Callable[[Workload], tuple[Any, str]]:
    """What workloads are sorted by: of those alike, their uids decide."""
    if by == "name":
        return lambda row: ((row["name"] or row["workload_uid"]).lower(), row["workload_uid"])
    if by == "workload_uid":
        return lambda row: (row["workload_uid"], row["workload_uid"])
    return lambda row: (row[by] or 0, row["workload_uid"])


def _text_of(place: _Place) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _place_of(after: str, sort: str) -> _Place:
    try:
        plain = base64.urlsafe_b64decode(after + "=" * (-len(after) % 4))
        place = msgspec.json.decode(plain, type=_Place)
    except ValueError as error:
        raise errors.BadQuery.of("after", after, "the `next` of the page before") from error
    is_number = sort.removeprefix("-") == "first_seen"
    if place.sort != sort or isinstance(place.key, int) != is_number:
        raise errors.BadQuery.of("after", after, f"the `next` of a page with sort={sort}")
    return place
