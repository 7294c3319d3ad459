"""A tensor of one element, as TensorBoard's newer writers send a scalar. Used by event_file."""

import struct

import msgspec

from primus_lens.importing import protobuf
from primus_lens.importing.protobuf import Message
from primus_lens.importing.records import json_float

_DTYPE, _SHAPE, _CONTENT = 1, 2, 4  # fields of tensor.proto


class _Kind:
    """How a tensor of one type spells its elements: packed in `tensor_content`, or in a field."""

    def __init__(self, packed: str, field: int) -> None:
        self.packed, self.field = packed, field


_KINDS = {  # DataType of types.proto
    1: _Kind("<f", 5),
    2: _Kind("<d", 6),
    3: _Kind("<i", 7),
    9: _Kind("<q", 10),
    10: _Kind("<?", 11),
    14: _Kind("<H", 13),  # bfloat16
    19: _Kind("<e", 13),  # half
    22: _Kind("<I", 16),
    23: _Kind("<Q", 17),
}
_BFLOAT16 = 14


def scalar(tensor: Message) -> msgspec.Raw | None:
    """The one element of a tensor; None for text, or for more than one."""
    kind = _KINDS.get(tensor.integer(_DTYPE))
    sizes = [Message(dimension).integer(1) for dimension in tensor.message(_SHAPE).all(2)]
    if kind is None or any(size != 1 for size in sizes):
        return None
    content = tensor.content(_CONTENT)
    if content:
        if len(content) != struct.calcsize(kind.packed):
            return None
        return _json(tensor.integer(_DTYPE), struct.unpack(kind.packed, content)[0])
    return _listed(tensor, kind)


def _listed(tensor: Message, kind: _Kind) -> msgspec.Raw | None:
    packed = tensor.content(kind.field)
    if kind.packed in {"<f", "<d"}:
        if len(packed) != struct.calcsize(kind.packed):
            return None
        return json_float(struct.unpack(kind.packed, packed)[0])
    numbers = list(protobuf.varints(packed)) if packed else [tensor.integer(kind.field)]
    if len(numbers) != 1:
        return None
    bits = numbers[0] & ((1 << 8 * struct.calcsize(kind.packed)) - 1)
    as_bytes = bits.to_bytes(struct.calcsize(kind.packed), "little")
    return _json(tensor.integer(_DTYPE), struct.unpack(kind.packed, as_bytes)[0])


def _json(dtype: int, number: float) -> msgspec.Raw:
    if dtype == _BFLOAT16:  # the upper half of a float
        number = struct.unpack("<f", struct.pack("<I", int(number) << 16))[0]
    if isinstance(number, float):
        return json_float(number)
    return msgspec.Raw(str(int(number)).encode())
