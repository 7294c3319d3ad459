"""The entries of wandb's records: a path of names and a value, as JSON text or typed (0.31).

Used by wandb_file for rows and by wandb_facts for configs and summaries.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from primus_lens.importing import protobuf
from primus_lens.importing.records import json_float, json_number

NOT_METRICS = frozenset({"_step", "_timestamp", "_runtime", "_wandb", "_primus_lens_enabled"})

# Fields of HistoryItem, ConfigItem and SummaryItem in wandb_internal.proto.
_KEY, _NESTED, _INTEGER, _NUMBER, _TYPED_JSON, _VALUE_JSON = 1, 2, 5, 6, 8, 16


class Item(NamedTuple):
    """One entry. value: where it is a number, ready to post. text: JSON of any kind."""

    path: tuple[str, ...]
    value: msgspec.Raw | None
    text: str


class _Digits(str):
    """The text of a JSON number, told apart from a JSON string."""

    __slots__ = ()


def item(message: bytes) -> Item:
    """Read an entry. Raises NotProtobuf."""
    key, text = "", ""
    value: msgspec.Raw | None = None
    nested: list[str] = []
    for number, given in protobuf.fields(message):
        if number in {_VALUE_JSON, _TYPED_JSON}:
            text = protobuf.text(given)
        elif number == _NESTED:
            nested.append(protobuf.text(given))
        elif number == _KEY:
            key = protobuf.text(given)
        elif number == _NUMBER:
            value = json_float(protobuf.double(given))
            text = bytes(value).decode()
        elif number == _INTEGER and isinstance(given, int):
            text = str(protobuf.zigzag(given))
    path = (key,) if key else tuple(nested) or ("",)
    return Item(path, value or json_number(text), text)


def numbers(items: Iterable[Item]) -> Iterator[tuple[str, msgspec.Raw]]:
    """Name and value of every number of the job's own, names flattened as wandb does.

    wandb stores a histogram, a table or media leaf by leaf; its "_type" tells them apart. Raises
    ValueError for text that is no JSON.
    """
    items = list(items)
    media = {each.path[:-1] for each in items if each.path[-1] == "_type"}
    for path, value, text in items:
        if path[0] in NOT_METRICS:
            continue
        if media and any(path[:n] in media for n in range(len(path))):
            continue
        if value is not None:
            yield ".".join(path), value
        elif text.startswith("{"):
            tree = json.loads(text, parse_float=_Digits, parse_int=_Digits, parse_constant=_Digits)
            yield from _leaves(".".join(path), tree)


def _leaves(name: str, node: Any) -> Iterator[tuple[str, msgspec.Raw]]:  # noqa: ANN401 - JSON
    if isinstance(node, dict):
        if "_type" not in node:
            for key, inner in node.items():
                yield from _leaves(f"{name}.{key}", inner)
    elif isinstance(node, _Digits) or node in {"NaN", "Infinity", "-Infinity"}:
        value = json_number(str(node))
        if value is not None:
            yield name, value
