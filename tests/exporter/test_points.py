"""Logged values become numbers with their digits untouched, or are left out."""

import contextlib
import json
import math
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primus_lens_wandb_exporter import _extras, _frames, _points, _protobuf, _unspool

SAFE = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def item(key, **forms):
    """Encode one HistoryItem. forms: value_json, integer, number, boolean, json, text, nested."""
    data = _protobuf.length_field(1, key.encode()) if key else b""
    for part in forms.get("nested", ()):
        data += _protobuf.length_field(2, part.encode())
    for number, name in ((7, "text"), (8, "json"), (16, "value_json")):
        if name in forms:
            data += _protobuf.length_field(number, forms[name].encode())
    if "integer" in forms:
        data += _protobuf.tag(5, _protobuf.VARINT) + varint(forms["integer"])
    return _protobuf.length_field(1, data)


def varint(number):
    """Encode a sint64."""
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def values(payload):
    """Return name -> JSON text of the numbers in a row."""
    return dict(_points.from_wandb(payload).values)


@given(st.dictionaries(SAFE.filter(lambda k: k and k not in _points._NOT_METRICS), st.integers()))
def test_integers_keep_every_digit(row):
    """Whatever its size, an integer's text is passed on as it is."""
    payload = b"".join(item(key, value_json=str(value)) for key, value in row.items())
    assert values(payload) == {key: str(value) for key, value in row.items()}


@pytest.mark.parametrize(
    "digits, said",
    [
        ("9" * 308, "9" * 308),
        ("1" + "0" * 308, "1e+308"),
        ("2" + "0" * 308, '"Infinity"'),
        ("-1" + "0" * 400, '"-Infinity"'),
    ],
)
def test_an_integer_beyond_a_float64_is_infinity(digits, said):
    """As in wandb's own file; the server would refuse the whole row for such a number."""
    assert values(item("a", value_json=digits)) == {"a": said}
    assert values(item("a", value_json=f'{{"b": {digits}}}')) == {"a.b": said}


@given(st.floats())
def test_floats_keep_their_text(number):
    """A finite float keeps its text, the others become the protocol's strings."""
    (found,) = values(item("a", value_json=json.dumps(number))).values()
    assert float(json.loads(found)) == number or (math.isnan(number) and found == '"NaN"')


@given(st.integers(-(2**63), 2**63 - 1))
def test_typed_integers_are_read(number):
    """The typed integers of wandb 0.31 read as their digits."""
    assert values(item("a", integer=number)) == {"a": str(number)}


@pytest.mark.parametrize(
    "text", ["true", "false", "null", '"text"', "[1, 2]", "{}", '{"_type": "x", "a": 1}', "{oops"]
)
def test_what_is_no_number_is_left_out(text):
    """Booleans, text, lists, media and broken JSON are no points."""
    assert values(item("a", value_json=text)) == {}


def test_nested_names_are_paths():
    """A dict's leaves are named by their path, as wandb shows them."""
    text = '{"b": {"c": 1.50, "d": "NaN"}, "e": [1], "f": {"_type": "histogram", "n": 1}}'
    assert values(item("a", value_json=text)) == {"a.b.c": "1.50", "a.b.d": '"NaN"'}


def test_a_nested_key_is_a_path_too():
    """Wandb's nested_key form gives the same name."""
    assert values(item("", nested=("a", "b"), value_json="1")) == {"a.b": "1"}


def test_wandbs_own_keys_are_no_points():
    """_step, _runtime, _timestamp and our marker are not metrics; _timestamp is the row's time."""
    keys = ("_step", "_runtime", "_wandb", _extras.MARK)
    payload = b"".join(item(key, value_json="1") for key in keys)
    row = _points.from_wandb(payload + item("_timestamp", value_json="12.5"))
    assert (row.values, row.at) == ([], "12.5")


@pytest.mark.parametrize("key", ["", "k" * 300])
@pytest.mark.parametrize("text", ["1", "1" * 300])
def test_long_and_missing_parts_are_read(key, text):
    """Lengths beyond one byte and an absent key go the general way."""
    assert values(item(key, value_json=text)) == {key: text}


@pytest.mark.parametrize(
    "value, kept",
    [
        (1, 1),
        (1.5, 1.5),
        (True, None),
        ("1", None),
        (None, None),
        ([1], None),
        ({"a": 2}, {"a": 2}),
    ],
)
def test_plain_values_of_a_disabled_run(value, kept):
    """Without wandb's conversion numbers are numbers and nothing else is."""
    assert _points.plain_value(value) == kept


def test_numpy_values_of_a_disabled_run():
    """Scalars and one-element arrays count, larger arrays do not."""
    numpy = pytest.importorskip("numpy")
    for value in (numpy.float32(0.5), numpy.int64(3), numpy.array(2.5), numpy.array([7])):
        assert _points.plain_value(value) == value.item()
    assert _points.plain_value(numpy.arange(3)) is None
    assert _points.plain_value(numpy.zeros(0)) is None


class DeviceTensor:
    """A tensor that must not be read: that would make the job wait for its device."""

    device = types.SimpleNamespace(type="cuda")

    def item(self):
        """Fail, as the wait must not happen."""
        raise AssertionError("the device was waited for")


def test_a_tensor_on_a_device_is_not_read():
    """In a disabled run no value is fetched from a GPU."""
    assert _points.plain_value(DeviceTensor()) is None


@pytest.mark.parametrize("name", ["", "x" * 256, "a\0b", "\ud800"])
def test_names_the_protocol_has_no_place_for_are_counted(name):
    """Such a point is left out and counted, the rest of the row is sent."""
    reading = _unspool.Reading()
    payload = json.dumps({"at": 1.0, "values": {name: 1, "good": 2}}).encode()
    record = reading.record(_frames.Frame(_frames.PLAIN_ROW, _frames.FLUSHES, 1, 0, payload))
    assert [json.loads(point)["name"] for point in record.points] == ["good"]
    assert reading.refused_names == 1


def test_a_job_that_invents_names_does_not_fill_our_memory():
    """The cache of names is bounded."""
    reading = _unspool.Reading()
    for n in range(10_005):
        values = {f"metric-{n}": 1}
        payload = json.dumps({"at": 1.0, "values": values}).encode()
        reading.record(_frames.Frame(_frames.PLAIN_ROW, _frames.FLUSHES, n, n, payload))
    assert len(reading.names) <= 10_000


@given(st.binary(max_size=60))
def test_garbage_raises_nothing_unexpected(data):
    """Bytes that are no protobuf raise only what the feed takes for damage."""
    with contextlib.suppress(ValueError, IndexError):
        _points.from_wandb(data)
