"""Segments are readable from their bytes alone, whatever happened to some of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primus_lens_wandb_exporter import _frames

FRAMES = st.lists(
    st.builds(
        _frames.Frame,
        st.integers(0, 255),
        st.integers(0, 255),
        st.integers(0, 2**64 - 1),
        st.integers(-(2**63), 2**63 - 1),
        st.binary(max_size=60) | st.just(_frames.MAGIC * 3),
    ),
    max_size=8,
)


def bytes_of(frames):
    """Encode frames one after the other."""
    return b"".join(_frames.encode(f.kind, f.flags, f.seq, f.step, f.payload) for f in frames)


def whole(data):
    """Return the whole frames found in bytes."""
    return [item for _, item in _frames.scan(data) if isinstance(item, _frames.Frame)]


@given(FRAMES)
def test_what_is_written_is_read(frames):
    """Frames come back equal and in order."""
    assert whole(bytes_of(frames)) == frames


@given(FRAMES, st.data())
def test_a_cut_costs_the_torn_frame_only(frames, data):
    """Cut at any byte, a segment still gives every frame that was complete."""
    text = bytes_of(frames)
    cut = data.draw(st.integers(0, len(text)))
    ends, at = [], 0
    for frame in frames:
        at += len(bytes_of([frame]))
        ends.append(at)
    complete = [frame for frame, end in zip(frames, ends, strict=True) if end <= cut]
    assert whole(text[:cut]) == complete


@given(FRAMES, FRAMES, st.binary(min_size=1, max_size=40))
def test_garbage_between_frames_is_stepped_over(before, after, garbage):
    """Bytes that are no frame hide none of the frames around them."""
    text = bytes_of(before) + garbage + bytes_of(after)
    assert whole(text) == before + after


def test_one_changed_byte_costs_one_frame():
    """Every single changed byte is noticed and costs the frame it is in, no other."""
    frames = [_frames.Frame(1, 0, n, n, b"payload%d" % n) for n in range(1, 4)]
    text = bytes_of(frames)
    size = len(text) // 3
    for at in range(len(text)):
        changed = bytearray(text)
        changed[at] ^= 0x41
        hit = at // size
        assert whole(bytes(changed)) == [f for n, f in enumerate(frames) if n != hit]


@given(FRAMES, FRAMES, st.integers(1, 5000))
def test_room_that_was_never_written_is_no_damage(before, after, size):
    """Zeros between frames hide nothing and are not reported as damage."""
    text = bytes_of(before) + bytes(size) + bytes_of(after)
    assert [item for _, item in _frames.scan(text)] == before + after


@pytest.mark.parametrize("tail", [b"P", b"PLw1", b"PLw1\xff\xff\xff\xff", b"xyz"])
def test_reading_goes_on_where_an_unfinished_frame_begins(tail):
    """The last offset is the end of the last whole frame, so a later scan loses nothing."""
    frame = _frames.encode(1, 0, 1, 0, b"abc")
    assert [end for end, _ in _frames.scan(frame + tail)] == [len(frame)]
