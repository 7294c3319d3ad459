"""Entries of wandb's rows, made by wandb's own protobuf classes."""

import pytest
from wandb.proto import wandb_internal_pb2 as pb

from primus_lens.importing import wandb_items

pytestmark = pytest.mark.wandb


def told(**fields):
    """Name and JSON of the numbers in a row of one entry."""
    item = wandb_items.item(pb.HistoryItem(**fields).SerializeToString())
    return {name: bytes(value).decode() for name, value in wandb_items.numbers([item])}


@pytest.mark.parametrize(
    "typed, value",
    [
        ({"integer": 2**53 + 1}, "9007199254740993"),
        ({"integer": -7}, "-7"),
        ({"integer": 0}, "0"),
        ({"number": 0.1}, "0.1"),
        ({"number": -0.0}, "-0.0"),
        ({"number": float("nan")}, '"NaN"'),
        ({"number": float("-inf")}, '"-Infinity"'),
        ({"value_json": "1e-3"}, "1e-3"),
        ({"value_json": "NaN"}, '"NaN"'),
        ({"value_json": '"Infinity"'}, '"Infinity"'),
        ({"value_json": "1180591620717411303424"}, "1180591620717411303424"),
        ({"integer": 3, "value_json": "3"}, "3"),
    ],
)
def test_number_keeps_its_digits(typed, value):
    """A number is read from either form, typed or JSON, without being printed anew."""
    assert told(key="a", **typed) == {"a": value}


@pytest.mark.parametrize(
    "other",
    [
        {"boolean": True},
        {"none": 1},
        {"text": "12"},
        {"json": "[1, 2]"},
        {"value_json": '"12"'},
        {"value_json": "true"},
        {"value_json": "null"},
        {"value_json": "1e999"},
        {"value_json": "9" * 400},
        {"json": '{"_type": "table-file", "ncols": 3}'},
    ],
)
def test_what_is_no_number_stays_out(other):
    """Texts, lists, media, and what no float64 can hold become no point."""
    assert told(key="a", **other) == {}


@pytest.mark.parametrize("form", ["json", "value_json"])
def test_dict_is_flattened(form):
    """A dict becomes a name for each of its numbers, joined by dots."""
    text = '{"b": 1, "c": {"d": NaN, "e": "text"}, "f": "Infinity", "g": 1e999}'
    assert told(key="a", **{form: text}) == {"a.b": "1", "a.c.d": '"NaN"', "a.f": '"Infinity"'}


def test_nested_key_is_flattened():
    """A path of names is joined by dots."""
    assert told(nested_key=["a", "b"], integer=1) == {"a.b": "1"}
