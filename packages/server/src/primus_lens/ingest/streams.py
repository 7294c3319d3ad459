"""Which records of a stream are stored: the arithmetic of exactly once. Pure."""

import enum
from collections.abc import Sequence

Ranges = Sequence[tuple[int, int]]
"""Inclusive (first, last) pairs, ascending, neither touching nor overlapping."""


class Known(enum.Enum):
    """How much of a request is stored already."""

    NONE = "none"
    SOME = "some"
    ALL = "all"


def known(accepted: Ranges, first: int, last: int) -> Known:
    """How much of the records first..last is in accepted."""
    overlapping = [pair for pair in accepted if pair[0] <= last and first <= pair[1]]
    if not overlapping:
        return Known.NONE
    (start, end), *others = overlapping
    return Known.ALL if not others and start <= first and last <= end else Known.SOME


def with_records(accepted: Ranges, first: int, last: int) -> list[tuple[int, int]]:
    """The ranges with first..last added, touching ones joined."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted([*accepted, (first, last)]):
        if joined and start <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined
