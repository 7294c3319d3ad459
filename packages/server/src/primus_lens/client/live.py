"""Server-Sent Events as they come: what kind, what data, and where to go on after a cut."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec


class LiveEvent(NamedTuple):
    """Something new of a workload.

    kind: "points" (data as `series` of a columns answer), "workload" (its `runs` changed), "reset"
    (what was stored since cannot be told one by one: read anew), or "" where only the place moved.
    place: what to go on with after a cut.
    """

    kind: str
    data: Any
    place: str


def events(lines: Iterable[str]) -> Iterator[LiveEvent]:
    """The events in the lines of a stream. What a cut left unfinished is none."""
    fields: dict[str, str] = {}
    place = ""
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
            continue
        place = fields.get("id", place)
        if "id" in fields:
            data = msgspec.json.decode(fields["data"]) if "data" in fields else None
            yield LiveEvent(fields.get("event", ""), data, place)
        fields = {}
