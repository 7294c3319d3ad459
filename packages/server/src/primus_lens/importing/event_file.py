"""The scalars of one TensorBoard event file: simple values, and the tensors of newer writers.

Reads without TensorBoard installed. Between tfrecord and batches. The run is named by the file's
folder, as in TensorBoard.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from primus_lens.importing import protobuf, scalars, tfrecord
from primus_lens.importing.protobuf import Message
from primus_lens.importing.records import Account, ImportFailed, Point, Record, json_float

# Fields of event.proto, summary.proto and tensor.proto.
_WALL_TIME, _STEP, _SUMMARY = 1, 2, 5
_VALUE, _TAG, _SIMPLE, _TENSOR, _METADATA = 1, 1, 2, 8, 9
_PLUGIN, _PLUGIN_NAME = 1, 1
_SCALARS = "scalars"
_LONGEST_SCALAR = 256  # bytes of a value's tensor: anything longer is an image, audio, a histogram


class EventFile:
    """Reads one event file. run_id: how the run is called. Raises ImportFailed when it is none."""

    data_source = "tensorflow"

    def __init__(self, path: Path, run_id: str) -> None:
        self.path = path
        self.run_id = run_id
        self.account = Account(size_bytes=path.stat().st_size)
        self.account.facts["name"] = run_id
        # The first event is the version, with the moment of the file's making.
        self.identity = self._opening()
        self._plugins: dict[str, str] = {}

    def records(self) -> Iterator[Record]:
        """Read the file from its start; a damaged record costs itself, and is counted."""
        self._plugins = {}
        for frame in self._frames():
            self.account.position = frame.end
            points = None if frame.payload is None else self._read(frame.payload)
            if points is None:
                self.account.damaged += 1
            else:
                yield Record(frame.start + 1, frame.end, points)

    def _frames(self) -> Iterator[tfrecord.Frame]:
        with self.path.open("rb") as file:
            yield from tfrecord.frames(file)

    def _opening(self) -> bytes:
        first = next(self._frames(), None)
        if first is None or first.payload is None:
            raise ImportFailed(f"{self.path} does not begin as a TensorBoard event file")
        return self.path.name.encode() + first.payload

    def _read(self, event: bytes) -> list[Point] | None:
        """The points of an event; None when it says nothing readable."""
        at, step = 0.0, 0
        summaries: list[bytes] = []
        try:
            for number, value in protobuf.fields(event):
                if number == _WALL_TIME:
                    at = protobuf.double(value)
                elif number == _STEP and isinstance(value, int):
                    step = protobuf.signed(value)
                elif number == _SUMMARY and isinstance(value, bytes):
                    summaries.append(value)
            points = [point for each in summaries for point in self._summary(each, step, at)]
        except ValueError:
            return None
        if points:
            facts = self.account.facts
            facts["started_at"] = min(at, facts.get("started_at", at))
            facts["ended_at"] = max(at, facts.get("ended_at", at))
        return points

    def _summary(self, summary: bytes, step: int, at: float) -> Iterator[Point]:
        for number, value in protobuf.fields(summary):
            if number == _VALUE and isinstance(value, bytes):
                tag, told = self._value(value)
                if told is not None:
                    point = self.account.point(tag, told, step, at)
                    if point:
                        yield point

    def _value(self, value: bytes) -> tuple[str, msgspec.Raw | None]:
        """Tag and number of a value; None for what is no scalar."""
        tag, tensor, number = "", b"", None
        for field, given in protobuf.fields(value):
            if field == _TAG:
                tag = protobuf.text(given)
            elif field == _SIMPLE:
                number = json_float(protobuf.single(given))
            elif field == _TENSOR and isinstance(given, bytes):
                tensor = given
            elif field == _METADATA:  # writers may tell it once a tag
                self._plugins[tag] = Message(given).message(_PLUGIN).text(_PLUGIN_NAME)
        of_scalars = self._plugins.get(tag, _SCALARS) == _SCALARS
        if number is None and of_scalars and 0 < len(tensor) <= _LONGEST_SCALAR:
            number = scalars.scalar(Message(tensor))
        return tag, number
