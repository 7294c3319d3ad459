"""Thresholds of a workload: laid over the server's, refused in words."""

import pytest

from primus_lens.model import errors
from primus_lens.settings import LossSpike, Thresholds
from primus_lens.watch import limits


def test_own_thresholds_lie_over_the_servers():
    """What is not set for a workload stays the server's."""
    server = Thresholds(loss_spike=LossSpike(k=7, lasting=20))
    chosen = limits.with_own(server, {"loss_spike": {"k": 6}, "losses": ["ce"]})
    assert (chosen.loss_spike.k, chosen.loss_spike.lasting) == (6, 20)
    assert (chosen.losses, chosen.stall) == (("ce",), server.stall)
    assert limits.document(chosen)["loss_spike"]["k"] == 6


@pytest.mark.parametrize(
    "own, words",
    [
        ({"loss_spike": {"k": "high"}}, "thresholds.loss_spike.k: Expected `float`, got `str`"),
        ({"loss_spike": 6}, "thresholds.loss_spike: Expected `object`, got `int`"),
        ({"loss_spik": {}}, "unknown field `loss_spik`"),
        ({"stall": {"kk": 1}}, "thresholds.stall: Object contains unknown field `kk`"),
        ({"loss_spike": {"window": 0}}, "thresholds.loss_spike.window: Expected `int` >= 1"),
        ({"every_s": 1}, "unknown field `every_s`"),
    ],
)
def test_wrong_threshold_is_refused_with_its_place(own, words):
    """A threshold that cannot be is named."""
    with pytest.raises(errors.InvalidField) as caught:
        limits.with_own(Thresholds(), own)
    assert words in caught.value.message


def test_command_line_sets_numbers_lists_and_words():
    """`group.threshold=value`, the value as JSON has it, or a word."""
    words = ["loss_spike.k=6", "loss_spike.lasting=5", 'losses=["ce"]', "stall.enabled=false"]
    assert limits.parsed(words) == {
        "loss_spike": {"k": 6, "lasting": 5},
        "losses": ["ce"],
        "stall": {"enabled": False},
    }
    assert limits.parsed(["a.b=c"]) == {"a": {"b": "c"}}


@pytest.mark.parametrize("word", ["loss_spike.k", "a.b.c=1", "=1", ".k=1"])
def test_word_that_sets_nothing_is_refused(word):
    """What is no threshold is named, with an example."""
    with pytest.raises(errors.ConfigError, match=r"write it as loss_spike\.k=6"):
        limits.parsed([word])
