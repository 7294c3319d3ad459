"""How one record lies in a segment: length and CRC around it, readable without anything else.

A frame is `PLw1`, the body's length and CRC-32, then the body: kind, flags, sequence number, step,
payload. Numbers are little-endian. Nothing beside the segments says what is in them, so nothing can
disagree with them.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple, Optional, Union

MAGIC = b"PLw1"
OUTER = struct.Struct("<4sII")
INNER = struct.Struct("<BBQq")
PAYLOAD_LIMIT = 64 << 20  # a length beyond this is damage, not a row

HEAD = 0  # JSON: whose stream this is; opens each segment; its seq is the first record's
ROW = 1  # wandb's PartialHistoryRequest; step is resolved
RUN = 2  # JSON: {"facts", "config"}: what the run is, its config's changes; allow-listed
CONFIG = 3  # JSON: {"update", "remove"}: changes of the config; allow-listed
METRIC = 4  # wandb's MetricRecord
EXIT = 5  # wandb's RunExitRecord
PLAIN_ROW = 6  # JSON: {"at", "values"}: a row of a disabled run
SUMMARY = 7  # JSON: numbers of the run's summary by name
STATE = 8  # JSON: what the reader must know after a segment that is deleted; not a record
METRIC_BEFORE_CORE = 9  # wandb's MetricRecord before 0.18: a step metric has no value at first

FLUSHES = 1  # this row completes its step
ADVANCES = 2  # this row's step is beyond the step before: that one is complete
STEP_UNKNOWN = 4  # wandb numbers this row elsewhere; the step is our guess


class Frame(NamedTuple):
    """One frame as read back."""

    kind: int
    flags: int
    seq: int
    step: int
    payload: bytes


class Damage(NamedTuple):
    """Bytes that are no frame: from and to are offsets in the segment."""

    first: int
    last: int


def encode(kind: int, flags: int, seq: int, step: int, payload: bytes) -> bytes:
    """Return the bytes of one frame."""
    body = INNER.pack(kind, flags, seq, step) + payload
    return OUTER.pack(MAGIC, len(body), zlib.crc32(body)) + body


def scan(data: bytes, start: int = 0) -> Iterator[tuple[int, Union[Frame, Damage]]]:
    """Walk the frames of a segment's bytes from an offset.

    Yields (offset after it, frame). Damaged bytes are skipped up to the next whole frame and
    yielded as Damage; an incomplete frame at the end yields nothing, so the offset of the last item
    is where a later scan goes on. A range of zeros is room nobody has written to, no damage.
    """
    at = start
    while True:
        found = _frame_at(data, at)
        if found is not None:
            at, frame = found
            yield at, frame
            continue
        if at >= len(data) or _may_be_unfinished(data, at):
            return
        there = _next_whole_frame(data, at + 1)
        if there < 0:
            return
        if data.count(0, at, there) < there - at:
            yield there, Damage(at, there)
        at = there


def _frame_at(data: bytes, at: int) -> Optional[tuple[int, Frame]]:
    if at + OUTER.size > len(data):
        return None
    magic, length, crc = OUTER.unpack_from(data, at)
    body_at = at + OUTER.size
    end = body_at + length
    if magic != MAGIC or not INNER.size <= length <= PAYLOAD_LIMIT or end > len(data):
        return None
    body = data[body_at:end]
    if zlib.crc32(body) != crc:
        return None
    kind, flags, seq, step = INNER.unpack_from(body)
    return end, Frame(kind, flags, seq, step, body[INNER.size :])


def _may_be_unfinished(data: bytes, at: int) -> bool:
    """Say whether these last bytes may be a frame whose end is not written yet."""
    return data.find(MAGIC, at + 1) < 0


def _next_whole_frame(data: bytes, at: int) -> int:
    while True:
        at = data.find(MAGIC, at)
        if at < 0 or _frame_at(data, at) is not None:
            return at
        at += 1
