"""Frames of `.wandb` files: what a cut or a flipped byte costs."""

import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primus_lens.importing.leveldb_log import frames

HEADER = b":W&B" + struct.pack("<HB", 0xBEE1, 0)
BLOCK = 32 * 1024


def log_of(records):
    """A file with these records, as LevelDB writes it."""
    data = bytearray(HEADER)
    for record in records:
        left, first = record, True
        while left or first:
            room = BLOCK - len(data) % BLOCK
            if room < 7:
                data += b"\0" * room
                room = BLOCK
            part, left = left[: room - 7], left[room - 7 :]
            kind = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}[
                first, not left
            ]
            data += struct.pack("<IHB", zlib.crc32(bytes([kind]) + part), len(part), kind) + part
            first = False
    return bytes(data)


def payloads(data):
    """The payloads of a file; None for each damaged part."""
    return [frame.payload for frame in frames(io.BytesIO(data))]


SHORT = [b"one", b"", b"three" * 10]
LONG = [b"a" * 20_000, b"b" * 20_000, b"c" * 100_000, b"d" * 10]


@given(st.lists(st.binary(max_size=70_000), max_size=8))
def test_records_are_read_back(records):
    """Records of any length are read as they were written, blocks and padding notwithstanding."""
    assert payloads(log_of(records)) == records


def test_cut_anywhere_leaves_the_whole_records():
    """Of a short file that is cut at any byte, exactly the records before the cut are told."""
    data = log_of(SHORT)
    ends = [frame.end for frame in frames(io.BytesIO(data))]
    for cut in range(len(HEADER), len(data) + 1):
        whole = sum(end <= cut for end in ends)
        assert payloads(data[:cut]) == SHORT[:whole]


@pytest.mark.parametrize("cut", [25_000, BLOCK - 1, BLOCK, BLOCK + 3, 2 * BLOCK, 100_000, 139_000])
def test_cut_within_a_long_record_costs_it_alone(cut):
    """A record over several blocks that is not finished is not told."""
    data = log_of(LONG)
    ends = [frame.end for frame in frames(io.BytesIO(data))]
    assert payloads(data[:cut]) == LONG[: sum(end <= cut for end in ends)]


@given(st.integers(len(HEADER), len(log_of(LONG)) - 1), st.integers(1, 255))
def test_flipped_bits_bend_nothing(place, bits):
    """Whatever byte is damaged, what is told is what was written; the damage is told, too."""
    data = bytearray(log_of(LONG))
    data[place] ^= bits
    told = payloads(bytes(data))
    assert [each for each in told if each is not None] == [each for each in LONG if each in told]


def test_damage_is_told_with_its_place():
    """The numbers of what follows a damaged part do not move."""
    data = log_of(LONG)
    whole = {frame.payload: (frame.start, frame.end) for frame in frames(io.BytesIO(data))}
    damaged = data[:30_000] + b"\xff" + data[30_001:]
    found = list(frames(io.BytesIO(damaged)))
    assert found[0].payload == LONG[0]
    assert found[1].payload is None
    assert (found[-1].start, found[-1].end) == whole[LONG[-1]]


def test_record_that_broke_off_is_told_as_damage():
    """A writer that died within a record and was followed by another leaves a damaged part."""
    first = struct.pack("<IHB", zlib.crc32(b"\x02begun"), 5, 2) + b"begun"
    whole = struct.pack("<IHB", zlib.crc32(b"\x01whole"), 5, 1) + b"whole"
    last = struct.pack("<IHB", zlib.crc32(b"\x04ended"), 5, 4) + b"ended"
    assert payloads(HEADER + first + whole) == [None, b"whole"]
    assert payloads(HEADER + last + whole) == [None, b"whole"]


def test_zeros_fill_a_block():
    """Where a writer left the rest of a block empty, reading goes on in the next."""
    whole = struct.pack("<IHB", zlib.crc32(b"\x01whole"), 5, 1) + b"whole"
    first = HEADER + whole
    assert payloads(first + bytes(BLOCK - len(first)) + whole) == [b"whole", b"whole"]
