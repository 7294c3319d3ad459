"""What a Grafana client means by a text, decided by the names there are."""

import hypothesis
import pytest
from hypothesis import strategies as st
from odd_names import NAMES, escaped

from primus_lens.query import targets

# No star: within a name it is itself, in a text it asks for whatever fits.
names = st.text(st.sampled_from("ab/,|(){}\\ .т"), min_size=1, max_size=6)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_found_as_it_is_and_escaped(name):
    """One choice arrives plain or escaped for a regular expression."""
    assert targets.resolved(name, set(NAMES)) == [name]
    assert targets.resolved(escaped(name), set(NAMES)) == [name]


def test_several_are_found_in_both_formats_of_a_list():
    """Several choices arrive as `(a|b)` escaped or as `{a,b}` not escaped."""
    known = set(NAMES)
    assert targets.resolved(f"({'|'.join(map(escaped, NAMES))})", known) == NAMES
    assert targets.resolved(f"{{{','.join(NAMES)}}}", known) == NAMES


@pytest.mark.parametrize(
    "text, found",
    [
        ("{a,b}", ["a,b"]),  # with known a,b only
        ("{x,a,b}", ["a,b"]),
        ("{a,b,a,b}", ["a,b"]),
        ("(a,b|gone)", ["a,b"]),
    ],
)
def test_a_known_name_with_a_comma_is_not_split(text, found):
    """A list is cut where the catalogue allows it, and what is no more is left out."""
    assert targets.resolved(text, {"a,b"}) == found


def test_a_list_has_two_names_where_it_can():
    """Grafana sends braces for several choices only, so `{a,b}` is a and b where both are known."""
    assert targets.resolved("{a,b}", {"a", "b", "a,b"}) == ["a", "b"]
    assert targets.resolved("{ a, b }", {"a", "b", "a,b"}) == ["a", "b"]


@pytest.mark.parametrize(
    "text, found",
    [
        ("*", ["eval/loss", "loss", "train/loss"]),
        ("all", ["eval/loss", "loss", "train/loss"]),
        (r"train\/*", ["train/loss"]),
        ("*loss", ["eval/loss", "loss", "train/loss"]),
        ("*a*s*", ["eval/loss", "train/loss"]),
        ("t*loss*loss", []),
        (r"train\*", []),
        (".*", []),
        ("train", []),
        ("", []),
    ],
)
def test_a_star_asks_for_what_fits_and_nothing_else_does(text, found):
    """Only a star that is not escaped stands for more; a part of a name means nothing."""
    assert targets.resolved(text, {"eval/loss", "loss", "train/loss"}) == found


@hypothesis.given(st.sets(names, min_size=1, max_size=5))
def test_every_name_can_be_chosen_whatever_else_is_known(known):
    """Each known name is found by itself and, unless its escaped form is a name too, escaped."""
    for name in known:
        assert targets.resolved(name, known) == [name]
        if escaped(name) not in known:
            assert targets.resolved(escaped(name), known) == [name]


@hypothesis.given(st.sets(names, min_size=2, max_size=5))
def test_every_choice_of_several_is_found_escaped(known):
    """`(a|b)` of escaped names is exactly those names, whatever they hold."""
    chosen = sorted(known)
    text = f"({'|'.join(map(escaped, chosen))})"
    hypothesis.assume(text not in known)
    hypothesis.assume(targets.unescaped(text) not in known)
    assert targets.resolved(text, known) == chosen


@hypothesis.given(st.sets(names, max_size=5), st.text("ab,|(){}\\*", max_size=12))
def test_only_known_names_are_ever_found(known, text):
    """Nothing is made up from a text."""
    assert set(targets.resolved(text, known)) <= known


def test_many_stars_take_no_time():
    """A text of stars is compared in one pass; as a regular expression this would not end."""
    assert targets.resolved("*a" * 100 + "b", {"a" * 250}) == []
