"""Forty spikes of one step among 100,000: none is hidden by step, by time, along a metric."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from primus_lens.query import drawing, thinning
from primus_lens.query.drawing import View
from primus_lens.store.chunk_read import Series

STEPS, SPIKES = 100_000, 40


def curve(seed):
    """A noisy curve, its spikes' places spread over it, and x positions of three kinds."""
    random = np.random.default_rng(seed)
    values = 3 * np.exp(-np.arange(STEPS) / 20_000) + random.normal(size=STEPS) * 0.02
    stretch = STEPS // SPIKES
    places = np.arange(SPIKES) * stretch + random.integers(0, stretch, SPIKES)
    values[places] += random.choice([-1, 1], SPIKES) * random.uniform(5, 50, SPIKES)
    times = 1_700_000_000_000 + np.cumsum(random.integers(1, 2_000, STEPS))
    tokens = random.permutation(STEPS) * 4096.0
    return values, places, times, tokens


def drawn(values, times, tokens, view):
    """The one curve a reader gets."""
    steps = np.arange(STEPS)
    loss = Series("loss", "wandb", 1, "r", steps, times, values)
    other = Series("tokens", "wandb", 1, "r", steps, times, tokens)

    class Found:
        """Both series as the store reads them."""

        def unpacked(self):
            return iter([loss, other])

        def unpacked_replaced(self):
            return iter(())

    [found] = [each for each in drawing.drawn(Found(), {"loss"}, view) if each.metric == "loss"]
    return found


def ordered(values, times, tokens, axis):
    """X and y in the order they are drawn, and the step of each."""
    x = {"step": np.arange(STEPS), "time": times, "tokens": tokens}[axis].astype(np.float64)
    order = np.argsort(x, kind="stable")
    return x[order], values[order], order


@pytest.mark.parametrize("axis", ["step", "time", "tokens"])
@settings(max_examples=8)
@given(seed=some.integers(0, 2**32), most=some.integers(4, 100_000))
def test_every_buckets_extremes_are_exact_at_any_size(axis, seed, most):
    """Every bucket's extremes are drawn and told: a spike is hidden by larger ones alone."""
    values, places, times, tokens = curve(seed)
    found = drawn(values, times, tokens, View(axis, most, envelope=True))
    x, y, order = ordered(values, times, tokens, axis)
    kept = set(found.step)
    starts = thinning.bucket_starts(x, most=most)
    if starts is None:
        assert len(kept) == STEPS
        return
    ends = [*starts[1:], STEPS]
    low, high = np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts)
    assert (found.envelope.min, found.envelope.max) == (low.tolist(), high.tolist())
    drawn_at = np.isin(order, found.step)
    assert np.array_equal(np.minimum.reduceat(np.where(drawn_at, y, np.inf), starts), low)
    assert np.array_equal(np.maximum.reduceat(np.where(drawn_at, y, -np.inf), starts), high)
    bucket = np.searchsorted(starts, np.argsort(order), side="right") - 1  # by step
    for place in places:
        inside = y[starts[bucket[place]] : ends[bucket[place]]]
        hidden_by_larger = inside.min() < values[place] < inside.max()
        assert place in kept or hidden_by_larger


@pytest.mark.parametrize("axis", ["step", "time"])
@pytest.mark.parametrize("seed", range(5))
def test_spikes_spread_over_a_curve_are_drawn(axis, seed):
    """At 2,000 points at least 39 of 40 spikes spread over 100,000 steps are drawn."""
    values, places, times, tokens = curve(seed)
    found = drawn(values, times, tokens, View(axis, 2_000))
    assert len(found.step) <= 2_000
    assert len(set(places.tolist()) & set(found.step)) >= 39
