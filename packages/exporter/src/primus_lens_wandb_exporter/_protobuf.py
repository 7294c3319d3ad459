"""Enough of the protobuf wire format to read wandb's records without wandb.

`drain` runs where no wandb is installed, and the field numbers below have not moved between wandb
0.15 and 0.31; wandb's generated classes have.
"""

import struct
from collections.abc import Iterator
from typing import Union

Value = Union[int, bytes]

_DOUBLE = struct.Struct("<d")
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5


def fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Yield (field number, value): int for varints, bytes for everything else.

    Raises ValueError or IndexError when the bytes are not a protobuf message.
    """
    at, end = 0, len(data)
    while at < end:
        key = data[at]
        at += 1
        if key & 0x80:
            key, at = _varint(data, at, key & 0x7F)
        kind = key & 7
        if kind == LENGTH:
            size = data[at]
            at += 1
            if size & 0x80:
                size, at = _varint(data, at, size & 0x7F)
        elif kind == VARINT:
            number = data[at]
            at += 1
            if number & 0x80:
                number, at = _varint(data, at, number & 0x7F)
            yield key >> 3, number
            continue
        else:
            size = {FIXED64: 8, FIXED32: 4}.get(kind, -1)
        if size < 0 or at + size > end:
            raise ValueError(f"field {key >> 3} of wire type {kind} does not fit at byte {at}")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int, low: int) -> tuple[int, int]:
    shift = 7
    while True:
        byte = data[at]
        at += 1
        low |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            return low, at
        shift += 7


def text(value: Value) -> str:
    """Read a string field."""
    return value.decode("utf-8") if isinstance(value, bytes) else ""


def double(value: Value) -> float:
    """Read a double field."""
    return float(_DOUBLE.unpack(value)[0]) if isinstance(value, bytes) else float(value)


def zigzag(value: Value) -> int:
    """Read a sint64 field."""
    return (value >> 1) ^ -(value & 1) if isinstance(value, int) else 0


def signed(value: Value) -> int:
    """Read an int32 or int64 field, which travel as 64-bit two's complement."""
    if not isinstance(value, int):
        return 0
    return value - (1 << 64) if value >> 63 else value


def table(data: bytes) -> dict[int, list[Value]]:
    """Return all values of each field number, in order."""
    found: dict[int, list[Value]] = {}
    for number, value in fields(data):
        found.setdefault(number, []).append(value)
    return found


def tag(number: int, kind: int) -> bytes:
    """Return how a field begins."""
    return _unsigned(number << 3 | kind)


def length_field(number: int, data: bytes) -> bytes:
    """Return a string, bytes or message field."""
    return tag(number, LENGTH) + _unsigned(len(data)) + data


def _unsigned(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)
