"""Which records are stored: the ranges of ingest/streams behave as the set of their numbers."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from primus_lens.ingest import streams

RANGES = st.lists(
    st.tuples(st.integers(1, 60), st.integers(0, 8)).map(lambda p: (p[0], p[0] + p[1])), max_size=20
)


def union(ranges):
    """The ranges of a stream that accepted these one after another."""
    accepted = []
    for first, last in ranges:
        accepted = streams.with_records(accepted, first, last)
    return accepted


def numbers(ranges):
    """Every record number in some ranges."""
    return {number for first, last in ranges for number in range(first, last + 1)}


@given(RANGES)
def test_accepted_ranges_are_the_union_of_what_came(ranges):
    """The ranges hold exactly the records that were added."""
    assert numbers(union(ranges)) == numbers(ranges)


@given(RANGES)
def test_accepted_ranges_are_apart_and_ascending(ranges):
    """Ranges that touch or overlap become one, so that a stream without losses is one range."""
    accepted = union(ranges)
    assert all(one[1] + 1 < other[0] for one, other in itertools.pairwise(accepted))


@given(RANGES.flatmap(lambda ranges: st.tuples(st.just(ranges), st.permutations(ranges))))
def test_order_of_arrival_does_not_matter(both):
    """The same records in any order leave the same ranges."""
    ranges, reordered = both
    assert union(ranges) == union(reordered)


@given(RANGES)
def test_cutting_requests_differently_does_not_matter(ranges):
    """Records sent one by one leave the same ranges as sent together."""
    assert union(ranges) == union((number, number) for number in numbers(ranges))


@given(RANGES, st.integers(1, 70), st.integers(0, 10))
def test_known_tells_how_much_of_a_request_is_stored(ranges, first, more):
    """ALL, SOME or NONE of a request's records are among those stored."""
    asked = set(range(first, first + more + 1))
    stored = numbers(ranges)
    told = streams.known(union(ranges), first, first + more)
    if asked <= stored:
        assert told is streams.Known.ALL
    elif asked & stored:
        assert told is streams.Known.SOME
    else:
        assert told is streams.Known.NONE
