"""Laws of ingest/targets: which entry of a config is the target."""

import pytest

from primus_lens.ingest.targets import target_step


@pytest.mark.parametrize(
    "config, target",
    [
        ({}, None),
        ({"max_steps": 500}, 500),
        ({"max_steps": -1, "train_iters": 300}, 300),
        ({"num_steps": 1, "train_iters": 300.0}, 300),
        ({"trainer": {"args": {"max-steps": 70}}}, 70),
        ({"trainer.max_steps": 80}, 80),
        ({"a": {"max_steps": 5}, "max_steps": 6}, 6),
        ({"max_steps": True, "train_iters": "300", "total_steps": 1.5}, None),
        ({"max_steps": 2**70, "max_iters": 0}, None),
        ({"a": {"b": {"c": {"d": {"e": {"max_steps": 1}}}}}}, None),
    ],
)
def test_surest_entry_that_is_a_count(config, target):
    """The surest name wins, then the least nested; only a positive whole number counts."""
    assert target_step(config) == target
