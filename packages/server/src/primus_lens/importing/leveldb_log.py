"""The frames of a `.wandb` file: a LevelDB log whose checksums are plain CRC-32.

A 7-byte file header, then blocks of 32 KiB counted from the file's start. Each holds chunks: CRC-32
over type and payload (4 bytes), length (2), type (1: whole, 2: first, 3: middle, 4: last part of a
record). Zeros, or fewer than 7 bytes, fill the end of a block. Comes before wandb_file.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

FILE_HEADER = struct.Struct("<4sHB")
IDENT = b":W&B"

_BLOCK = 32 * 1024
_CHUNK = struct.Struct("<IHB")
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_SEEDS = [zlib.crc32(bytes([kind])) for kind in range(_LAST + 1)]


class Frame(NamedTuple):
    """One record. start, end: its bytes in the file. payload: None where it cannot be read."""

    start: int
    end: int
    payload: bytes | None


class _Chunk(NamedTuple):
    start: int
    end: int
    kind: int  # 0: damaged
    payload: bytes


def frames(file: BinaryIO) -> Iterator[Frame]:
    """The records of a file, damaged parts between them, in order. file: at its start.

    A damaged chunk costs its record and what follows in its block, whose lengths nobody can trust;
    a record that is not whole at the end of the file is not told at all.
    """
    start, parts = -1, b""
    for chunk in _chunks(file):
        if start >= 0 and chunk.kind not in {_MIDDLE, _LAST}:  # the record before it broke off
            yield Frame(start, chunk.start, None)
            start = -1
        if chunk.kind in {_WHOLE, 0}:
            yield Frame(chunk.start, chunk.end, chunk.payload if chunk.kind else None)
        elif chunk.kind == _FIRST:
            start, parts = chunk.start, chunk.payload
        elif start < 0:  # its beginning was lost
            yield Frame(chunk.start, chunk.end, None)
        else:
            parts += chunk.payload
            if chunk.kind == _LAST:
                yield Frame(start, chunk.end, parts)
                start = -1


def _chunks(file: BinaryIO) -> Iterator[_Chunk]:
    at = 0
    while block := file.read(_BLOCK):
        place = FILE_HEADER.size if at == 0 else 0
        while len(block) - place >= _CHUNK.size:
            checksum, length, kind = _CHUNK.unpack_from(block, place)
            if kind == 0 and length == 0 and checksum == 0:
                break
            end = place + _CHUNK.size + length
            if end > len(block) and len(block) < _BLOCK:  # torn: the file goes on here one day
                return
            payload = block[place + _CHUNK.size : end]
            good = _FIRST - 1 <= kind <= _LAST and zlib.crc32(payload, _SEEDS[kind]) == checksum
            if end > len(block) or not good:
                yield _Chunk(at + place, at + len(block), 0, b"")
                break
            yield _Chunk(at + place, at + end, kind, payload)
            place = end
        at += len(block)
