"""Rows to columns to bytes and back: laws of store/chunks."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from primus_lens.model import naming
from primus_lens.store import chunks
from primus_lens.store.chunks import StoredStep

BITS = st.integers(0, 2**64 - 1)
STEPS = st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=50, unique=True).map(sorted)
TIMES = st.integers(-62_135_596_800_000, 253_402_300_799_000)
SPOKEN = {math.inf: "Infinity", -math.inf: "-Infinity"}


def spoken(value):
    """A number as training_performance holds it."""
    if isinstance(value, float):
        if math.isnan(value):
            return "NaN"
        if value == 0 and math.copysign(1, value) < 0:
            return "-0.0"
        return SPOKEN.get(value, value)
    return value


def step(number, document, *, at_ms=0, times=None):
    """A stored row."""
    return StoredStep(
        number, at_ms, json.dumps(document), None if times is None else json.dumps(times)
    )


@given(st.lists(BITS, min_size=1, max_size=300))
def test_every_bit_of_a_number_comes_back(bits):
    """Packing keeps each float64 bit for bit, whatever it stands for."""
    numbers = np.array(bits, dtype=np.uint64).view(np.float64)
    assert chunks.unpack(chunks.pack(numbers)).tobytes() == numbers.tobytes()


@given(STEPS)
def test_every_step_comes_back(steps):
    """Packing keeps each step and each time."""
    array = np.array(steps, dtype=np.int64)
    assert chunks.unpack(chunks.pack(array)).tolist() == steps


@given(st.lists(st.floats(width=64), min_size=1, max_size=100))
def test_numbers_become_a_column_as_they_are(values):
    """NaN, infinities and -0.0 stand in the column as in the rows."""
    _, [column] = chunks.columns([step(i, {"a": spoken(v)}) for i, v in enumerate(values)])
    expected = np.array(values)
    both_nan = np.isnan(expected) & np.isnan(column.numbers)
    assert np.array_equal(np.isnan(expected), np.isnan(column.numbers))
    assert column.numbers[~both_nan].tobytes() == expected[~both_nan].tobytes()


def test_series_of_every_step_has_no_positions():
    """Only a series that lacks a step says where its points are."""
    rows = [step(0, {"a": 1, "b": 2.5}), step(1, {"a": 2}), step(5, {"a": 3, "b": 4.5})]
    axis, [a, b] = chunks.columns(rows)
    assert axis.steps.tolist() == [0, 1, 5]
    assert (a.key, a.positions, a.numbers.tolist()) == ("a", None, [1, 2, 3])
    assert (b.key, b.positions.tolist(), b.numbers.tolist()) == ("b", [0, 2], [2.5, 4.5])


def test_only_a_series_with_times_of_its_own_keeps_them():
    """A series whose points were all logged at their steps' times takes those of the axis."""
    rows = [
        step(0, {"a": 1, "b": 1}, at_ms=1000),
        step(1, {"a": 2, "b": 2}, at_ms=2000, times={"b": 2500, "a": 2000, "gone": 7}),
    ]
    _, [a, b] = chunks.columns(rows)
    assert a.times is None
    assert b.times.tolist() == [1000, 2500]


@pytest.mark.parametrize("value", ["text", True, False, None, [1], {"deep": 1}, "nan", "1.5"])
def test_what_is_no_number_stays_out(value):
    """A value that is no number leaves its step without a point."""
    _, columns = chunks.columns([step(0, {"a": value}), step(1, {"a": 1.5})])
    assert [(c.positions.tolist(), c.numbers.tolist()) for c in columns] == [([1], [1.5])]


def test_series_without_any_number_is_none():
    """A name that never carries a number makes no column."""
    assert chunks.columns([step(0, {"a": "text"})])[1] == []


def test_fields_of_the_document_are_no_series():
    """The document's own fields stay out; a metric of such a name is found under its key."""
    document = dict.fromkeys(naming.METADATA_FIELDS, 1)
    _, [column] = chunks.columns([step(0, {**document, naming.stored_name("step"): 9})])
    assert naming.metric_name(column.key) == "step"


def test_integers_that_float64_cannot_hold_are_counted():
    """A column tells how many of its integers it had to round; 1e300 is stored as an integer."""
    values = [2**53, 2**53 + 1, -(2**60) - 1, 10**300, 1.5, 3]
    _, [column] = chunks.columns([step(i, {"a": value}) for i, value in enumerate(values)])
    assert column.inexact == 2
    assert column.numbers.tolist() == [float(value) for value in values]


def test_range_without_rows_has_an_empty_axis():
    """No rows make no columns."""
    axis, columns = chunks.columns([])
    assert (len(axis.steps), len(axis.times), columns) == (0, 0, [])


def test_statistics_are_of_the_finite_values():
    """What is not finite is counted, and leaves the rest alone."""
    numbers = np.array([math.nan, 3.0, -1.0, math.inf, -math.inf, math.inf, 2.0])
    assert chunks.statistics(numbers) == chunks.Statistics(
        n=7, min=-1.0, max=3.0, sum=4.0, first=3.0, last=2.0,
        nans=1, infinities=2, negative_infinities=1,
    )  # fmt: skip


def test_statistics_without_a_finite_value_are_none():
    """A chunk of NaN alone has neither ends nor extremes."""
    known = chunks.statistics(np.array([math.nan]))
    assert (known.n, known.nans) == (1, 1)
    assert {known.min, known.max, known.sum, known.first, known.last} == {None}


def test_sum_past_float64_is_infinite():
    """A sum that float64 cannot hold is no error."""
    assert chunks.statistics(np.array([1.7e308, 1.7e308])).sum == math.inf
