"""Enough of the protobuf wire format to read the files of wandb and TensorBoard."""

import struct
from collections.abc import Iterator

Value = int | bytes
"""int for varints, bytes for everything else."""

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}
_LONGEST_VARINT = 10  # bytes of 64 bits, seven at a time


class NotProtobuf(ValueError):
    """The bytes are not a message; a ValueError, as is text that is not UTF-8."""


def fields(message: bytes) -> Iterator[tuple[int, Value]]:
    """Field number and value of each field, in order. Raises NotProtobuf."""
    at, end = 0, len(message)
    try:
        while at < end:
            tag = message[at]
            at += 1
            if tag & 0x80:
                tag, at = _varint(message, at - 1)
            kind = tag & 7
            if kind == _VARINT:
                number, at = _varint(message, at)
                yield tag >> 3, number
                continue
            if kind == _LENGTH:
                size = message[at]
                at += 1
                if size & 0x80:  # few are as long, and a call costs more than all of this
                    size, at = _varint(message, at - 1)
            else:
                size = _SIZES[kind]
            if at + size > end:
                raise NotProtobuf(f"field {tag >> 3} is longer than its message")
            yield tag >> 3, message[at : at + size]
            at += size
    except (IndexError, KeyError) as error:
        raise NotProtobuf("not a protobuf message") from error


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The number at a place, and the place after it."""
    byte = message[at]
    if not byte & 0x80:
        return byte, at + 1
    number, shift = byte & 0x7F, 7
    for place in range(at + 1, at + _LONGEST_VARINT):
        byte = message[place]
        number |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return number, place + 1
        shift += 7
    raise NotProtobuf("a number of more than 64 bits")


def varints(packed: bytes) -> Iterator[int]:
    """The numbers of a packed field. Raises NotProtobuf."""
    at = 0
    try:
        while at < len(packed):
            number, at = _varint(packed, at)
            yield number
    except IndexError as error:
        raise NotProtobuf("a packed field breaks off") from error


class Message:
    """A message's fields by number, for the small ones that are asked field by field."""

    def __init__(self, message: Value) -> None:
        self._fields: dict[int, list[Value]] = {}
        for number, value in fields(message if isinstance(message, bytes) else b""):
            self._fields.setdefault(number, []).append(value)

    def all(self, number: int) -> list[bytes]:
        """Every value of a repeated field of strings or messages."""
        return [each for each in self._fields.get(number, ()) if isinstance(each, bytes)]

    def content(self, number: int) -> bytes:
        """The last value of a field of bytes; empty without one."""
        found = self.all(number)
        return found[-1] if found else b""

    def text(self, number: int) -> str:
        """The last value of a string; "" without one. Raises ValueError."""
        return text(self.content(number))

    def integer(self, number: int) -> int:
        """The last value of an int32 or int64; 0 without one."""
        found = self._fields.get(number, (0,))[-1]
        return signed(found) if isinstance(found, int) else 0

    def message(self, number: int) -> "Message":
        """The last value of a message; an empty one without any."""
        return Message(self.content(number))


def text(value: Value) -> str:
    """A string field. Raises ValueError for what is not UTF-8."""
    return value.decode() if isinstance(value, bytes) else ""


def signed(number: int) -> int:
    """An int32 or int64, which travel as 64-bit two's complement."""
    return number - (1 << 64) if number >> 63 else number


def zigzag(number: int) -> int:
    """A sint64."""
    return (number >> 1) ^ -(number & 1)


def double(value: Value) -> float:
    """A double. Raises NotProtobuf."""
    return _unpacked("<d", value)


def single(value: Value) -> float:
    """A float. Raises NotProtobuf."""
    return _unpacked("<f", value)


def _unpacked(kind: str, value: Value) -> float:
    if not isinstance(value, bytes) or len(value) != struct.calcsize(kind):
        raise NotProtobuf("a number of the wrong size")
    return float(struct.unpack(kind, value)[0])
