"""Fewer points, the same shape: laws of query/thinning."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from primus_lens.query import thinning

ANY_FLOAT = st.floats(width=64)
CURVES = st.lists(st.tuples(st.integers(0, 10_000), ANY_FLOAT), min_size=1, max_size=300).map(
    lambda points: sorted(points, key=lambda point: point[0])
)
MOST = st.integers(4, 64)


def kept(points, most):
    """The kept indices of (x, y) pairs."""
    x = np.array([point[0] for point in points], dtype=np.float64)
    y = np.array([point[1] for point in points], dtype=np.float64)
    return thinning.kept(x, y, most=most).tolist()


def buckets(points, most):
    """The indices of each bucket: the range of x cut into most // 4 parts of equal width."""
    first, last = points[0][0], points[-1][0]
    count = most // thinning.PER_BUCKET
    by_place = {}
    for i, (x, _) in enumerate(points):
        place = int((x - first) / (last - first) * count) if last > first else 0
        by_place.setdefault(min(place, count - 1), []).append(i)
    return by_place.values()


@given(CURVES, MOST)
def test_ends_and_extremes_of_every_bucket_are_kept(points, most):
    """A bucket's first, lowest, highest and last finite values are all among what is drawn."""
    chosen = set(kept(points, most))
    for bucket in buckets(points, most):
        finite = [i for i in bucket if math.isfinite(points[i][1])]
        if not finite:
            continue
        drawn = [points[i][1] for i in bucket if i in chosen and math.isfinite(points[i][1])]
        values = [points[i][1] for i in finite]
        assert (min(drawn), max(drawn)) == (min(values), max(values))
        assert {finite[0], finite[-1]} <= chosen


@given(CURVES, MOST)
def test_no_more_finite_points_than_asked_are_kept(points, most):
    """At most `most` finite points are kept, each once, ascending."""
    chosen = kept(points, most)
    assert chosen == sorted(set(chosen))
    if len(points) > most:
        assert sum(math.isfinite(points[i][1]) for i in chosen) <= most


@given(CURVES, MOST)
def test_few_points_are_all_kept(points, most):
    """A curve of no more points than asked is drawn whole."""
    few = points[:most]
    assert kept(few, most) == list(range(len(few)))


@given(CURVES, MOST)
def test_every_bucket_marks_what_is_not_finite(points, most):
    """The first NaN, infinity and negative infinity of a bucket are kept beside its numbers."""
    chosen = set(kept(points, most))
    for bucket in buckets(points, most):
        for odd in (math.isnan, lambda y: y == math.inf, lambda y: y == -math.inf):
            marks = [i for i in bucket if odd(points[i][1])]
            assert not marks or marks[0] in chosen


@pytest.mark.parametrize("most", [4, 40, 500, 1_000, 2_001, 50_000])
def test_one_step_spikes_survive_any_width(most):
    """40 spikes of one step in 100,000: every bucket still shows its exact lowest and highest."""
    random = np.random.default_rng(7)
    x = np.arange(100_000, dtype=np.float64)
    y = random.normal(size=100_000)
    at = random.choice(100_000, 40, replace=False)
    y[at] = 1e3 * random.choice([-1.0, 1.0], 40) * (1 + random.random(40))
    chosen = thinning.kept(x, y, most=most)
    count = most // thinning.PER_BUCKET
    place = np.minimum((x / x[-1] * count).astype(int), count - 1)
    assert len(chosen) <= most
    for bucket in range(count):
        whole, drawn = y[place == bucket], y[chosen[place[chosen] == bucket]]
        assert (drawn.min(), drawn.max()) == (whole.min(), whole.max())


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=300), st.booleans(), MOST)
def test_of_equal_extremes_the_first_is_kept(values, even, most):
    """A bucket of finite values keeps exactly its ends, its first lowest and its first highest."""
    points = [(i if even else i * i, float(value)) for i, value in enumerate(values)]
    if len(points) <= most:
        return
    wanted = set()
    for bucket in buckets(points, most):
        lowest = min(bucket, key=lambda i: points[i][1])
        highest = max(bucket, key=lambda i: points[i][1])
        wanted |= {bucket[0], lowest, highest, bucket[-1]}
    assert kept(points, most) == sorted(wanted)
