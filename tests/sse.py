"""A reader of Server-Sent Events for tests, which knows its place as a browser does."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx


class Told(NamedTuple):
    """One event: its kind and what it carries."""

    kind: str
    data: Any


class Stream:
    """One connection; `place` is the id to come back with. Comments are in `comments`."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.place = ""
        self.comments: list[str] = []
        self._lines = answer.iter_lines()
        self._until_place()

    def _until_place(self) -> None:
        """The first block tells the place and nothing else."""
        while not self.place:
            self._field(next(self._lines), {})

    def _field(self, line: str, fields: dict[str, str]) -> None:
        name, _, value = line.partition(": ")
        if line.startswith(":"):
            self.comments.append(line)
        elif name == "id":
            self.place = value
        fields[name] = value

    def __iter__(self) -> Iterator[Told]:
        fields: dict[str, str] = {}
        for line in self._lines:
            if line:
                self._field(line, fields)
            else:
                if "data" in fields:
                    yield Told(fields.get("event", "message"), json.loads(fields["data"]))
                fields = {}

    def next(self, kind: str) -> Any:
        """What the next event of a kind carries."""
        return next(told.data for told in self if told.kind == kind)


@contextlib.contextmanager
def following(url: str, *, place: str = "", **headers: str) -> Iterator[Stream]:
    """A stream that is open and begun. url: with its query. place: an id to come back with."""
    if place:
        headers["Last-Event-ID"] = place
    with httpx.stream("GET", url, headers=headers, timeout=30) as answer:
        assert answer.status_code == httpx.codes.OK, answer.read()
        yield Stream(answer)


def points(data: Any) -> list[tuple[str, int, int, object]]:
    """(metric, serial, step, value) of a `points` event."""
    return [
        (series["metric"], series["serial"], step, value)
        for series in data["series"]
        for step, value in zip(series["step"], series["value"], strict=True)
    ]
