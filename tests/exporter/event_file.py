"""A TensorBoard event file written without TensorBoard, so that wandb's service has one to read.

TFRecord framing: length (8 bytes), its masked CRC-32C, the Event message, its masked CRC-32C.
"""

import socket
import struct
from pathlib import Path

from primus_lens_wandb_exporter import _protobuf


def write(folder: Path, scalars: list[tuple[int, str, float]]) -> None:
    """Write (step, tag, value) in this order into one file."""
    folder.mkdir(parents=True)
    events = [_double(1, 1e9) + _protobuf.length_field(3, b"brain.Event:2")]
    for step, tag, value in scalars:
        number = _protobuf.tag(2, _protobuf.FIXED32) + struct.pack("<f", value)
        summary = _protobuf.length_field(1, _protobuf.length_field(1, tag.encode()) + number)
        at = _double(1, 1e9 + step)
        count = _protobuf.tag(2, _protobuf.VARINT) + _protobuf._unsigned(step)
        events.append(at + count + _protobuf.length_field(5, summary))
    # wandb reads only files of this host that are younger than the run.
    name = f"events.out.tfevents.9999999999.{socket.gethostname()}"
    (folder / name).write_bytes(b"".join(map(_framed, events)))


def _double(number: int, value: float) -> bytes:
    return _protobuf.tag(number, _protobuf.FIXED64) + struct.pack("<d", value)


def _framed(event: bytes) -> bytes:
    length = struct.pack("<Q", len(event))
    return length + _masked_crc(length) + event + _masked_crc(event)


def _masked_crc(data: bytes) -> bytes:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
