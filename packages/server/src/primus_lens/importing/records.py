"""What the readers of files have in common: records, and an account of what was read.

A record is the smallest part of a file that is delivered or not. It is named by the numbers of its
bytes (in a CSV file: its cells), so that neither a damaged part nor a tail that grows later moves
the numbers of the others: a second import sends exactly what the first one could not.
"""

import abc
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec

LONGEST_NAME = 255  # protocol/v1, as the three below
LARGEST_STEP = 2**63 - 1
LONGEST_INTEGER = 308  # digits a float64 has room for
EARLIEST, LATEST = -62_135_596_800, 253_402_300_799

is_number = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?").fullmatch

_NOT_FINITE = {
    spelling: msgspec.Raw(b'"%b"' % spelling.encode())
    for spelling in ("NaN", "Infinity", "-Infinity")
}


class ImportFailed(Exception):
    """A file cannot be imported; the message says why and what to do. Nothing is wrong with us."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Point(msgspec.Struct, frozen=True, omit_defaults=True):
    """One point of protocol/v1. value: JSON as the file had it. timestamp: Unix seconds."""

    name: str
    value: msgspec.Raw
    step: int
    timestamp: float | None = None
    step_origin: str | None = None


class Record(msgspec.Struct, frozen=True):
    """A part of a file that is delivered whole, from number `first` to `last`, from 1.

    There are at least as many numbers as points. Parts without points are told too, so that the
    numbers of what lies between two rows do not look like a hole.
    """

    first: int
    last: int
    points: Sequence[Point] = ()


@dataclass
class Account:
    """What is known of one source, growing while it is read.

    facts: `run` of protocol/v1. definitions: by name or glob, what define_metric said. position,
    size_bytes: how far the file was read. damaged: parts that could not be read. refused: points
    that protocol/v1 has no place for.
    """

    size_bytes: int = 0
    position: int = 0
    damaged: int = 0
    refused: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    definitions: dict[str, dict[str, Any]] = field(default_factory=dict)

    def point(
        self, name: str, value: msgspec.Raw, step: int, at: float | None, origin: str | None = None
    ) -> Point | None:
        """The point; None, and a count, where the protocol has no place for it."""
        known = name.isprintable() or _is_storable(name)
        if not (known and 0 < len(name) <= LONGEST_NAME and 0 <= step <= LARGEST_STEP):
            self.refused += 1
            return None
        usable = at is not None and EARLIEST <= at <= LATEST
        return Point(name, value, step, at if usable else None, origin)


class Source(Protocol):
    """One run in one file.

    identity: bytes that tell this file from others, and stay when it grows. data_source: as
    reports name where points come from.
    """

    path: Path
    run_id: str
    data_source: str
    identity: bytes
    account: Account

    @abc.abstractmethod
    def records(self) -> Iterator[Record]:
        """Read the file from its start. Raises ImportFailed, OSError."""


def _is_storable(name: str) -> bool:
    return "\0" not in name and not any("\ud800" <= letter <= "\udfff" for letter in name)


def json_number(text: str) -> msgspec.Raw | None:
    """A number's text as JSON, digits untouched; None for what is no number, or beyond float64."""
    if is_number(text):
        may_overflow = len(text) >= LONGEST_INTEGER or "e" in text or "E" in text
        beyond = may_overflow and not math.isfinite(float(text))
        return None if beyond else msgspec.Raw(text.encode())
    return _NOT_FINITE.get(text.strip('"'))


def json_float(number: float) -> msgspec.Raw:
    """A float as JSON; strings stand for what JSON cannot say."""
    if math.isfinite(number):
        return msgspec.Raw(repr(number).encode())
    return _NOT_FINITE["NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"]
