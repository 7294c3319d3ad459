"""Records in requests: the same for the same file, bounded, and with numbers that never move."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from primus_lens.importing.batches import Batch, batches
from primus_lens.importing.records import Point, Record


def records_of(shape):
    """Records with so many points each; a negative count leaves a hole before its record."""
    made, place = [], 1
    for count in shape:
        place += 5 if count < 0 else 0
        points = [Point("a", msgspec.Raw(b"1"), step) for step in range(abs(count))]
        made.append(Record(place, place + abs(count) + 2, points))
        place += abs(count) + 3
    return made


SHAPES = st.lists(st.integers(-30, 30), max_size=40)


@given(SHAPES)
def test_every_point_is_in_one_batch(shape):
    """No point is lost or doubled, and their order stays."""
    records = records_of(shape)
    expected = [point.step for record in records for point in record.points]
    told = [point.step for batch in batches(records, most=10) for point in batch.points]
    assert told == expected


@given(SHAPES)
def test_batch_is_bounded_and_without_holes(shape):
    """A batch has points, at most the bound, and its numbers follow each other."""
    for batch in batches(records_of(shape), most=10):
        assert 0 < len(batch.points) <= 10
        for one, next_one in zip(batch.records, batch.records[1:], strict=False):
            assert next_one.first == one.last + 1
        assert batch.last - batch.first + 1 >= len(batch.points)


@given(SHAPES, st.integers(0, 20))
def test_rest_of_a_batch_is_what_was_not_accepted(shape, count):
    """What the server has is left out, the rest is told in requests without holes."""
    for batch in batches(records_of(shape), most=10):
        known = batch.records[:count]
        accepted = [(known[0].first, known[-1].last)] if known else []
        rest = [point for each in batch.without(accepted) for point in each.points]
        assert rest == [point for record in batch.records[count:] for point in record.points]


def test_halves_are_the_whole():
    """Two halves hold what the batch held; one record has none."""
    [batch] = batches(records_of([1, 2, 3]))
    assert [len(half.records) for half in batch.halves()] == [1, 2]
    assert list(Batch(batch.records[:1]).halves()) == []


def test_records_without_points_do_not_pile_up():
    """A file of nothing but other records is passed over in bounded memory, without a request."""
    quiet = (Record(number, number) for number in range(1, 60_000))
    loud = Record(60_000, 60_000, [Point("a", msgspec.Raw(b"1"), 0)])
    assert list(batches(quiet)) == []
    [batch] = batches([*(Record(n, n) for n in range(1, 60_000)), loud])
    assert (batch.first, batch.last) == (50_001, 60_000)
