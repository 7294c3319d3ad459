"""The rows of one run as wandb's service writes them to its `.wandb` file, read while it grows.

Between `_tensorboard`, which says when a run has to be read here, and `_recorder`, which appends
what is found. The file is a LevelDB log: a 7-byte header, then blocks of 32 KiB with chunks of
records, each CRC-32 (4 bytes), length (2) and type (1: whole, 2: first, 3: middle, 4: last part).
wandb fills whole blocks before it writes, so rows come late, and the last with the run's end.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from primus_lens_wandb_exporter import _protobuf

READ_BYTES = 1 << 18  # a quarter of a MiB four times a second outruns any job that logs
_BLOCK = 32 * 1024
_FILE_HEADER = 7
_CHUNK = struct.Struct("<IHB")
_WHOLE, _LAST, _TYPES = 1, 4, 4
_SEEDS = [zlib.crc32(bytes([kind])) for kind in range(_TYPES + 1)]

# Field numbers of wandb_internal.proto.
_HISTORY, _EXIT = 2, 18
_ITEM, _STEP, _KEY, _NESTED, _VALUE_JSON = 1, 2, 1, 2, 16


class FileRow(NamedTuple):
    """One row of the file. payload: its items, as in a PartialHistoryRequest."""

    step: int
    payload: bytes


class WandbFile:
    """Reads a file on from where the last reading stopped.

    first_step: rows before it are left out; they were recorded as they were logged. at: how far
    the file was read, in bytes. ended: the end of the run was read, the last that wandb writes.
    """

    def __init__(self, path: str, first_step: int) -> None:
        self.path, self.first_step = path, first_step
        self.at = _FILE_HEADER
        self.ended = False
        self._parts = b""

    def rows(self) -> Iterator[FileRow]:
        """Yield the whole rows that were written since, at most READ_BYTES further.

        Raises OSError when the file cannot be read, ValueError or IndexError when a record of it
        is no protobuf.
        """
        for record in self._records():
            for number, value in _protobuf.fields(record):
                self.ended = self.ended or number == _EXIT
                if number == _HISTORY and isinstance(value, bytes):
                    row = _row(value)
                    if row.step >= self.first_step:
                        yield row

    def _records(self) -> Iterator[bytes]:
        with open(self.path, "rb") as file:
            file.seek(self.at)
            data = file.read(READ_BYTES)
        start = self.at
        while True:
            at = self.at - start
            left = _BLOCK - self.at % _BLOCK
            if left < _CHUNK.size:
                if at + left > len(data):
                    return
                self.at += left
                continue
            if at + _CHUNK.size > len(data):
                return
            crc, length, kind = _CHUNK.unpack_from(data, at)
            end = at + _CHUNK.size + length
            body = data[at + _CHUNK.size : end]
            # Anything else is a chunk that is being written: it is looked at again next time.
            if not _WHOLE <= kind <= _TYPES or zlib.crc32(body, _SEEDS[kind]) != crc:
                return
            self.at += _CHUNK.size + length
            self._parts += body
            if kind in (_WHOLE, _LAST):
                record, self._parts = self._parts, b""
                yield record


def _row(history: bytes) -> FileRow:
    """Read a HistoryRecord; leaves of media (a histogram, a table) are left out.

    In the file they stand beside a `_type` of their own, one item each.
    """
    step = 0
    items: list[tuple[tuple[str, ...], bytes]] = []
    for number, value in _protobuf.fields(history):
        if number == _STEP and isinstance(value, bytes):
            step = _protobuf.signed(_protobuf.table(value).get(1, [0])[-1])
        elif number == _ITEM and isinstance(value, bytes):
            found = _protobuf.table(value)
            path = tuple(_protobuf.text(part) for part in found.get(_KEY) or found.get(_NESTED, []))
            if path == ("_step",) and _VALUE_JSON in found:
                step = int(_protobuf.text(found[_VALUE_JSON][-1]))
            else:
                items.append((path, value))
    media = {path[:-1] for path, _ in items if path[1:] and path[-1] == "_type"}
    kept = [item for path, item in items if not any(path[:n] in media for n in range(len(path)))]
    return FileRow(step, b"".join(_protobuf.length_field(_ITEM, item) for item in kept))
