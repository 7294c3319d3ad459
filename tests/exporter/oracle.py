"""What wandb itself recorded: the rows of an offline `.wandb` file, read without wandb's reader.

The file is a LevelDB log: a 7-byte header, then 32 KiB blocks of records, each CRC (4 bytes),
length (2) and type (1: whole, 2: first, 3: middle, 4: last part). A record is a wandb protobuf.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BLOCK = 32 * 1024
_HEADER = struct.Struct("<IHB")
_INTERNAL = {"_step", "_timestamp", "_runtime", "_wandb", "_primus_lens_enabled"}


def records(path: Path) -> Iterator[bytes]:
    """Yield the payload of each whole record."""
    data = path.read_bytes()
    assert data[:4] == b":W&B"
    at, parts = 7, b""
    while at + _HEADER.size <= len(data):
        left = _BLOCK - at % _BLOCK
        if left < _HEADER.size:
            at += left
            continue
        _, length, kind = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        if kind == 0 and length == 0:
            at += left - _HEADER.size
            continue
        parts += data[at : at + length]
        at += length
        if kind in (1, 4):
            yield parts
            parts = b""


def rows(path: Path) -> dict[int, dict[str, Any]]:
    """Return step -> name -> number of each row a finished run has in its file."""
    from wandb.proto import wandb_internal_pb2 as pb  # noqa: PLC0415 - only tests of wandb need it

    found: dict[int, dict[str, Any]] = {}
    for payload in records(path):
        record = pb.Record.FromString(payload)
        if not record.HasField("history"):
            continue
        items = [(_path(item), json.loads(item.value_json)) for item in record.history.item]
        # wandb stores a histogram, a table or media leaf by leaf; its "_type" tells them apart.
        media = {path[:-1] for path, _ in items if path[-1] == "_type"}
        row, step = {}, record.history.step.num
        for parts, value in items:
            if parts == ("_step",):
                step = value
            elif parts[0] not in _INTERNAL and not any(
                parts[:n] in media for n in range(len(parts))
            ):
                row.update(_numbers(".".join(parts), value))
        assert step not in found, f"step {step} is in {path} twice"
        found[step] = row
    return {step: row for step, row in found.items() if row}


def _path(item: Any) -> tuple[str, ...]:
    return (item.key,) if item.key else tuple(item.nested_key)


def _numbers(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and "_type" not in value:
        for key, inner in value.items():
            yield from _numbers(f"{name}.{key}", inner)
    elif isinstance(value, float) and value != value:  # noqa: PLR0124 - that is what NaN is
        yield name, "NaN"
    elif isinstance(value, float) and value in (float("inf"), float("-inf")):
        yield name, "Infinity" if value > 0 else "-Infinity"
    elif (isinstance(value, (int, float)) and not isinstance(value, bool)) or (
        value in ("NaN", "Infinity", "-Infinity")
    ):
        yield name, value
