"""A logged row becomes points: names flattened as wandb does, numbers only, digits untouched.

Values stay text from wandb's JSON to ours, so no integer is rounded and no float reprinted.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, Union

from primus_lens_wandb_exporter import _extras, _protobuf

NAME_LIMIT = 255  # protocol/v1
_EARLIEST, _LATEST = -62_135_596_800, 253_402_300_799  # protocol/v1: the years 1 to 9999
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,307})(?:\.\d+)?(?:[eE][-+]?\d+)?").fullmatch
_VERY_LONG = re.compile(r"-?[1-9]\d{308,}").fullmatch  # beyond 1.8e308 no float64 holds it
_NOT_FINITE = {
    "NaN": '"NaN"',
    "Infinity": '"Infinity"',
    "-Infinity": '"-Infinity"',
    '"NaN"': '"NaN"',
    '"Infinity"': '"Infinity"',
    '"-Infinity"': '"-Infinity"',
}
_NOT_METRICS = frozenset(("_step", "_timestamp", "_runtime", "_wandb", _extras.MARK))

# HistoryItem of wandb_internal.proto; 3 to 8 are the typed forms of wandb 0.31.
_KEY, _NESTED, _NUMBER_FIELD, _INTEGER, _JSON, _VALUE_JSON = 1, 2, 6, 5, 8, 16
_ITEM_TAG, _KEY_TAG, _VALUE_JSON_TAG = 0x0A, 0x0A, b"\x82\x01"
_SHORTEST_ITEM, _TWO_BYTES = (
    7,
    0x80,
)  # tags and lengths alone; a length from here on takes two bytes
_ITEM = 1  # PartialHistoryRequest.item


class Row(NamedTuple):
    """One logged row.

    values: (name, JSON text of a number). others: names of what is not a number. at: Unix seconds
    as JSON text, "" if the row has no usable time.
    """

    values: list[tuple[str, str]]
    others: list[str]
    at: str


class _Digits(str):
    """The text of a JSON number, told apart from a JSON string."""

    __slots__ = ()


def from_wandb(payload: bytes) -> Row:
    """Read a PartialHistoryRequest; a value that is not a number is left out."""
    values: list[tuple[str, str]] = []
    others: list[str] = []
    at = ""
    for name, text in _items(payload):
        if name == "_timestamp":
            at = text if _NUMBER(text) and is_time(float(text)) else ""
        elif name not in _NOT_METRICS:
            if _NUMBER(text):
                values.append((name, text))
                continue
            found = list(_numbers(name, text))
            values.extend(found)
            if not found:
                others.append(name)
    return Row(values, others, at)


def from_plain(values: dict[str, Any], at: float) -> Row:
    """Make the row of a disabled run, whose values wandb did not convert."""
    found: list[tuple[str, str]] = []
    for name, value in values.items():
        if name not in _NOT_METRICS:
            found.extend(_numbers(name, json.dumps(value)))
    return Row(found, [], repr(at) if is_time(at) else "")


def is_time(seconds: float) -> bool:
    """Say whether the protocol has a place for this time; a report with another would be refused.

    seconds: Unix time, as a job's clock or the job itself says, however absurd.
    """
    return _EARLIEST <= seconds <= _LATEST


def _items(payload: bytes) -> Iterator[tuple[str, str]]:
    """Yield name and JSON text of each HistoryItem.

    Nearly all are a short key followed by a short value_json and nothing else; reading those
    without the general walk halves what the sender's thread costs the job.
    """
    at, end = 0, len(payload)
    while at + _SHORTEST_ITEM <= end and payload[at] == _ITEM_TAG and payload[at + 2] == _KEY_TAG:
        size = payload[at + 1]
        ends = at + 2 + size
        key_ends = at + 4 + payload[at + 3]
        text_at = key_ends + 3
        if size >= _TWO_BYTES or ends > end or payload[key_ends : text_at - 1] != _VALUE_JSON_TAG:
            break
        if payload[text_at - 1] != ends - text_at:
            break
        yield payload[at + 4 : key_ends].decode(), payload[text_at:ends].decode()
        at = ends
    for number, item in _protobuf.fields(payload[at:]):
        if number == _ITEM and isinstance(item, bytes):
            yield _item(item)


def _item(item: bytes) -> tuple[str, str]:
    name, text, typed = "", "", ""
    nested: list[str] = []
    for number, value in _protobuf.fields(item):
        if number == _KEY:
            name = _protobuf.text(value)
        elif number == _VALUE_JSON:
            text = _protobuf.text(value)
        elif number == _NESTED:
            nested.append(_protobuf.text(value))
        elif number == _NUMBER_FIELD:
            typed = float_text(_protobuf.double(value))
        elif number == _INTEGER:
            typed = str(_protobuf.zigzag(value))
        elif number == _JSON:
            typed = _protobuf.text(value)
    return name or ".".join(nested), typed or text


def _numbers(name: str, text: str) -> Iterator[tuple[str, str]]:
    if _NUMBER(text):
        yield name, text
    elif text in _NOT_FINITE:
        yield name, _NOT_FINITE[text]
    elif _VERY_LONG(text):  # wandb's own file says Infinity of one beyond a float64
        yield name, float_text(float(text))
    elif text.startswith("{"):
        yield from _leaves(name, _load(text))


def _leaves(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        if "_type" in value:  # a histogram, a table, media
            return
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}", inner)
    elif isinstance(value, _Digits):
        yield from _numbers(path, value)
    elif isinstance(value, str) and value in _NOT_FINITE:
        yield path, _NOT_FINITE[value]


def _load(text: str) -> Any:
    try:
        return json.loads(text, parse_float=_Digits, parse_int=_Digits, parse_constant=str)
    except (ValueError, RecursionError):
        return None


def float_text(number: float) -> str:
    """Return a float as JSON, with strings for what JSON cannot say."""
    if math.isfinite(number):
        return repr(number)
    return '"NaN"' if math.isnan(number) else '"Infinity"' if number > 0 else '"-Infinity"'


def plain_value(value: Any) -> Union[int, float, dict[str, Any], None]:
    """Turn a value a disabled run was given into a number, a dict of such, or None.

    numpy scalars and tensors of one element on the CPU count as numbers. A tensor on a device does
    not: reading it would make the job wait for the device.
    """
    if isinstance(value, dict):
        return {k: plain_value(v) for k, v in value.items() if isinstance(k, str)}
    if not isinstance(value, (int, float)):
        value = _element(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if isinstance(value, float) else int(value)


def _element(value: Any) -> Any:
    """Return the one element of a numpy scalar, array or CPU tensor, None of anything else."""
    if not hasattr(value, "item") or getattr(value, "size", 1) == 0:
        return None
    on_device = getattr(getattr(value, "device", None), "type", "cpu") != "cpu"
    return None if on_device or _elements(value) != 1 else value.item()


def _elements(value: Any) -> int:
    count = getattr(value, "numel", None)
    return int(count()) if callable(count) else int(getattr(value, "size", 0))
