"""The frames of a TensorBoard event file: TFRecords.

Each record: length (8 bytes), masked CRC-32C of the length (4), payload, masked CRC-32C of the
payload (4). Comes before event_file.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

LENGTH = struct.Struct("<Q")
CHECKSUM = struct.Struct("<I")

_POLYNOMIAL = 0x82F63B78  # CRC-32C (Castagnoli), reflected; zlib has only CRC-32
_MASK_ADDED = 0xA282EAD8
_LARGEST = 1 << 31  # bytes; protobuf's own limit, so a longer record is no event


class Frame(NamedTuple):
    """One record. start, end: its bytes in the file. payload: None where it cannot be read."""

    start: int
    end: int
    payload: bytes | None


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)  # noqa: PLW2901 - the division
        table.append(byte)
    return tuple(table)


_TABLE = _table()


def masked_checksum(data: bytes) -> int:
    """The checksum of TFRecords. About 60 ns a byte."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return (crc >> 15 | crc << 17 & 0xFFFFFFFF) + _MASK_ADDED & 0xFFFFFFFF


def frames(file: BinaryIO) -> Iterator[Frame]:
    """The records of a file, in order. file: at its start.

    A damaged payload costs its record. A damaged length ends the reading, since nobody knows where
    the next record begins; the rest is told as one damaged frame. A record that is not whole at the
    end of the file is not told at all.
    """
    at = 0
    while len(head := file.read(LENGTH.size + CHECKSUM.size)) == LENGTH.size + CHECKSUM.size:
        (length,) = LENGTH.unpack_from(head)
        (checksum,) = CHECKSUM.unpack_from(head, LENGTH.size)
        if masked_checksum(head[: LENGTH.size]) != checksum or length > _LARGEST:
            yield Frame(at, file.seek(0, 2), None)
            return
        payload = file.read(length)
        tail = file.read(CHECKSUM.size)
        if len(tail) < CHECKSUM.size:
            return
        end = at + len(head) + length + len(tail)
        good = masked_checksum(payload) == CHECKSUM.unpack(tail)[0]
        yield Frame(at, end, payload if good else None)
        at = end
