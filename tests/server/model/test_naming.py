"""Metric names inside a step's document: escaping loses none and collides with nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primus_lens.model import naming

NAMES = st.one_of(
    st.text(min_size=1),
    st.sampled_from(sorted(naming.METADATA_FIELDS)),
    st.sampled_from(sorted(naming.METADATA_FIELDS)).map(naming.ESCAPE.__add__),
    st.text().map(naming.ESCAPE.__add__),
)


@given(NAMES)
def test_every_name_comes_back(name):
    """A metric is read under the name it was logged with, whatever that is."""
    assert naming.metric_name(naming.stored_name(name)) == name


@given(NAMES)
def test_no_metric_takes_a_field_of_the_document(name):
    """The key of a metric is never one of the document's own fields."""
    assert naming.stored_name(name) not in naming.METADATA_FIELDS


@given(NAMES, NAMES)
def test_two_names_never_share_a_key(one, other):
    """Different metrics have different keys."""
    assert (naming.stored_name(one) == naming.stored_name(other)) == (one == other)


@pytest.mark.parametrize("name", ["loss", "train/loss", "metrics", "Step", "steps"])
def test_ordinary_names_are_kept_as_they_are(name):
    """A name that collides with nothing is its own key, as the specification's SQL expects."""
    assert naming.stored_name(name) == name
