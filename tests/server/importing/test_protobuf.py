"""The protobuf wire format: what is no message is refused, never misread."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primus_lens.importing import protobuf
from primus_lens.importing.protobuf import Message, NotProtobuf


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    """Bytes of any kind are a message or a NotProtobuf; nothing else is raised."""
    try:
        list(protobuf.fields(data))
    except NotProtobuf:
        assert data


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a\x05abc",  # longer than what follows
        b"\x08",  # a number that is missing
        b"\x08\xff",  # a number that breaks off
        b"\x08" + b"\xff" * 11,  # a number of more than 64 bits
        b"\x0b",  # a group, which nobody writes any more
        b"\x0d\x00",  # four bytes that are one
    ],
)
def test_what_is_no_message_is_refused(data):
    """Lengths, numbers and kinds that cannot be are an error."""
    with pytest.raises(NotProtobuf):
        list(protobuf.fields(data))


def test_long_fields_and_high_numbers():
    """Lengths over 127 and field numbers over 15 take more than one byte."""
    text = b"x" * 300
    message = Message(b"\x82\x01" + b"\xac\x02" + text)
    assert message.content(16) == text


def test_absent_fields_are_empty():
    """What a message does not say reads as empty, as protobuf has it."""
    message = Message(b"")
    assert (message.content(1), message.text(1), message.integer(1)) == (b"", "", 0)
    assert message.message(1).all(1) == []


def test_negative_numbers():
    """int64 as two's complement, sint64 as zigzag."""
    assert protobuf.signed(2**64 - 5) == -5
    assert [protobuf.zigzag(number) for number in (0, 1, 2, 3)] == [0, -1, 1, -2]


@pytest.mark.parametrize("read", [protobuf.double, protobuf.single])
def test_float_of_the_wrong_size_is_refused(read):
    """A float is four bytes, a double eight."""
    with pytest.raises(NotProtobuf, match="wrong size"):
        read(b"abc")
    with pytest.raises(NotProtobuf, match="wrong size"):
        read(7)


def test_packed_numbers_that_break_off_are_refused():
    """A packed field that ends within a number is an error."""
    assert list(protobuf.varints(b"\x01\x80\x02")) == [1, 256]
    with pytest.raises(NotProtobuf, match="breaks off"):
        list(protobuf.varints(b"\x01\x80"))
