"""The wire format: bytes to messages, or words on what is wrong."""

import contextlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primus_lens.ingest import wire
from primus_lens.model import errors
from primus_lens.model.detections import DetectionRequest
from primus_lens.model.points import RecordRange

POINT = {"name": "loss", "value": 0.5, "step": 1}
STREAMS = st.text("abcXYZ019._-", min_size=1, max_size=128)
NUMBERS = st.integers(0, 10**18 - 1)


def metrics(*points, **fields):
    """A metrics report as bytes."""
    return json.dumps({"metrics": list(points), "pod_name": "p", **fields}).encode()


def refusal(kind, body):
    """The error a body is refused with."""
    with pytest.raises(errors.InvalidField, match="it must be") as caught:
        wire.decode(kind, body)
    return caught.value


@given(STREAMS, NUMBERS, NUMBERS)
def test_idempotency_key_names_a_range(stream, one, other):
    """`<stream>/<first>-<last>` is read back as the range it was written from."""
    first, last = sorted((one, other))
    assert wire.record_range(f"{stream}/{first}-{last}") == RecordRange(stream, first, last)


@given(STREAMS, NUMBERS)
def test_idempotency_key_may_name_one_record(stream, seq):
    """`<stream>/<seq>` is the range of one."""
    assert wire.record_range(f"{stream}/{seq}") == RecordRange(stream, seq, seq)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "s",
        "/1",
        "s/",
        "s/1-",
        "s/-1",
        "s/1-2-3",
        "s t/1",
        "s/1 ",
        "s/½",
        "é/1",
        "s" * 129 + "/1",
    ],
)
def test_malformed_idempotency_key_is_refused(key):
    """A key that is no range is refused in words, since ignoring it would store twice."""
    with pytest.raises(errors.InvalidField, match="Idempotency-Key is"):
        wire.record_range(key)


def test_backwards_range_is_refused():
    """A range that ends before it begins is refused."""
    with pytest.raises(errors.InvalidField, match="does not run backwards"):
        wire.record_range("s/5-4")


@given(st.integers(-(10**300), 10**300))
def test_integers_are_exact_however_large(number):
    """An integer keeps all its digits."""
    message = wire.decode(wire.MetricsReport, metrics({**POINT, "value": number}))
    assert message.metrics[0].value == number
    assert isinstance(message.metrics[0].value, int)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_are_exact(number):
    """A float64 comes back bit for bit, the sign of zero included."""
    value = wire.decode(wire.MetricsReport, metrics({**POINT, "value": number})).metrics[0].value
    assert (value, math.copysign(1, value)) == (number, math.copysign(1, number))


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_what_json_cannot_say_travels_as_text(text):
    """The three values that are no JSON numbers are read as they are written."""
    report = wire.decode(wire.MetricsReport, metrics({**POINT, "value": text}))
    assert report.metrics[0].value == text


@pytest.mark.parametrize(
    "field, value, allowed",
    [
        ("step", -1, "an integer from 0 to 9223372036854775807"),
        ("step", 1.5, "an integer from 0 to 9223372036854775807"),
        ("step", 2**63, "an integer from 0 to 9223372036854775807"),
        ("name", "", "a string of 1 to 255 characters"),
        ("name", "n" * 256, "a string of 1 to 255 characters"),
        ("value", None, 'a number, or one of "NaN", "Infinity", "-Infinity"'),
        ("value", True, 'a number, or one of "NaN", "Infinity", "-Infinity"'),
        ("value", "0.5", 'a number, or one of "NaN", "Infinity", "-Infinity"'),
    ],
)
def test_refusal_names_place_value_and_what_is_allowed(field, value, allowed):
    """A wrong field is told with its path, what was got, and what may be there."""
    error = refusal(wire.MetricsReport, metrics(POINT, {**POINT, field: value}))
    [problem] = error.detail
    assert problem.field == f"metrics[1].{field}"
    assert problem.allowed == allowed
    assert error.message.startswith(f"metrics[1].{field} is ")


@pytest.mark.parametrize(
    "kind, body, field, got",
    [
        (
            DetectionRequest,
            {"evidence": {"environment": {"A": "a", "B": 5}}},
            "evidence.environment.B",
            5,
        ),
        (
            DetectionRequest,
            {"evidence": {"base_frameworks": {"jax": {}, "x": {"detected": "yes"}}}},
            "evidence.base_frameworks.x.detected",
            "yes",
        ),
        (
            wire.LogsReport,
            {"logs": [{"step": 1, "data": {}}, {"step": 1, "data": {"a": 1, "": 2}}]},
            "a name in logs[1].data",
            "",
        ),
        (wire.MetricsReport, {"metrics": [], "run": 5}, "run", 5),
    ],
)
def test_refusal_names_the_key_that_is_wrong(kind, body, field, got):
    """Inside of objects with any keys the wrong one is found, and its value told."""
    [problem] = refusal(kind, json.dumps({"workload_uid": "w", **body}).encode()).detail
    assert (problem.field, problem.got) == (field, got)


def test_long_value_is_shown_shortened():
    """A refusal never repeats more than 80 characters of what was sent."""
    error = refusal(wire.MetricsReport, metrics({**POINT, "step": "9" * 10_000}))
    assert len(error.message) < 200
    assert len(error.detail[0].got) < 100


@pytest.mark.parametrize("field", ["name", "value", "step"])
def test_missing_field_is_named(field):
    """A point without a name, value or step is refused with the field's place."""
    point = {name: value for name, value in POINT.items() if name != field}
    error = refusal(wire.MetricsReport, metrics(point))
    assert error.message.startswith(f"metrics[0].{field} is missing; ")


def test_unknown_fields_are_ignored():
    """A newer exporter may say more than this server knows."""
    body = metrics({**POINT, "colour": "red"}, planet="earth", run={"mood": "good"})
    assert wire.decode(wire.MetricsReport, body).metrics[0].name == "loss"


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe{}", b"nonsense", b"", b"[" * 100_000])
def test_what_is_not_json_is_malformed(body):
    """A body that is not JSON is told apart from JSON with a wrong field."""
    with pytest.raises(errors.MalformedBody, match="body is"):
        wire.decode(wire.MetricsReport, body)


def test_bare_nan_is_told_how_to_be_written():
    """What Python's json writes for NaN by default is no JSON; the sentence says what is."""
    with pytest.raises(errors.MalformedBody, match='one of the strings "NaN"'):
        wire.decode(wire.MetricsReport, metrics({**POINT, "value": float("-inf")}))


@pytest.mark.parametrize("body", [b"[]", b"3", b'"text"', b"null"])
def test_body_must_be_an_object(body):
    """Any other JSON than an object is refused by name."""
    assert refusal(wire.MetricsReport, body).message.startswith("the body is ")


def test_nul_is_refused_wherever_it_stands():
    """PostgreSQL stores no NUL, so it is refused at the edge with its place."""
    error = refusal(wire.MetricsReport, metrics({**POINT, "tags": {"a": ["b\0"]}}))
    assert error.detail[0].field == "metrics[0].tags.a[0]"
    assert error.detail[0].allowed == "text without NUL characters"


def test_number_beyond_a_float_is_refused():
    """An integer that fits on no curve is refused."""
    error = refusal(wire.MetricsReport, metrics({**POINT, "value": 10**309}))
    assert error.detail[0].field == "metrics[0].value"


def test_nesting_is_bounded():
    """What a job sends along may be nested 32 levels deep and no deeper."""
    config = 1
    for _ in range(40):
        config = {"a": config}
    body = json.dumps({"pod_name": "p", "evidence": {"wandb": {"config": config}}}).encode()
    assert refusal(DetectionRequest, body).detail[0].allowed == "nested at most 32 deep"


def test_more_points_than_allowed_are_refused():
    """10,000 points are a request, 10,001 are not."""
    assert len(wire.decode(wire.MetricsReport, metrics(*[POINT] * 10_000)).metrics) == 10_000
    error = refusal(wire.MetricsReport, metrics(*[POINT] * 10_001))
    assert error.detail[0].allowed == "a list of at most 10000 points"


def test_parts_of_a_batch_are_told_apart_undecoded():
    """A part that is wrong stays bytes, so that it fails alone; a null part is no part."""
    parts = wire.decode_parts(b'{"metrics": {"nonsense": 1}, "logs": null, "detection": [3]}')
    assert {name: bytes(part) for name, part in parts.items()} == {
        "metrics": b'{"nonsense": 1}',
        "detection": b"[3]",
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
REPORTS = st.fixed_dictionaries(
    {"pod_name": JSON, "metrics": st.lists(st.fixed_dictionaries(dict.fromkeys(POINT, JSON)))}
)


@given((JSON | REPORTS).map(json.dumps).map(str.encode), st.integers(0, 200), st.binary(max_size=3))
def test_whatever_comes_is_a_message_or_a_refusal(body, at, noise):
    """No body makes the server fail: it is read or refused, however it was damaged on the way."""
    for kind in (wire.MetricsReport, wire.LogsReport, DetectionRequest):
        for damaged in (body, body[:at], body[:at] + noise + body[at:]):
            with contextlib.suppress(errors.Rejected):
                assert isinstance(wire.decode(kind, damaged), kind)


@pytest.mark.parametrize(
    "body",
    [
        b'{"metrics": 3',
        b'{"metrics": 3, "pod_name": "\xff"}',
        b'{"metrics": [], "pod_name": "p", "unknown": "\\ud800\\u0000"}',
        b'{"metrics": [], "pod_name": "p", "unknown": ' + b"[" * 100_000,
    ],
)
def test_damage_beside_or_behind_a_wrong_field_is_malformed(body):
    """A body that is wrong in its type and broken as JSON is refused as what it is: no JSON."""
    with pytest.raises(errors.MalformedBody, match="not valid JSON"):
        wire.decode(wire.MetricsReport, body)


@pytest.mark.parametrize("digits", ["1e999", "9" * 400, "9" * 5_000])
def test_number_no_float_can_hold_is_refused_with_its_place(digits):
    """A number beyond float64 is the sender's fault and told as such."""
    body = metrics({**POINT, "value": "X"}).replace(b'"X"', digits.encode())
    assert refusal(wire.MetricsReport, body).detail[0].field == "metrics[0].value"
