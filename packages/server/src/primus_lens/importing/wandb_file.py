"""One run from its `.wandb` file: steps, values and times as wandb's own service wrote them.

Reads without wandb installed; the numbers of the fields have not moved from wandb 0.12 to 0.31.
Between leveldb_log and batches. Only rows of the history become points: the summary belongs to no
step, and goes with what the run says of itself.
"""

from collections.abc import Iterator
from pathlib import Path

from primus_lens.importing import leveldb_log, protobuf, wandb_items
from primus_lens.importing.protobuf import Message
from primus_lens.importing.records import Account, ImportFailed, Point, Record, is_number
from primus_lens.importing.wandb_facts import RUN, RUN_ID, RunFacts

_HISTORY, _ITEM, _STEP = 2, 1, 2  # fields of wandb_internal.proto


class WandbFile:
    """Reads one `.wandb` file. Raises ImportFailed when it is none, or names no run."""

    data_source = "wandb"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.account = Account(size_bytes=path.stat().st_size)
        # The record that opens the run: it holds the moment, and never changes as the file grows.
        self.identity = self._opening()
        self.run_id = Message(self.identity).message(RUN).text(RUN_ID)
        self._facts = RunFacts(self.account)
        self._next_step = 0

    def records(self) -> Iterator[Record]:
        """Read the file from its start; a damaged part costs what it held, and is counted."""
        self._facts, self._next_step = RunFacts(self.account), 0
        for frame in self._frames():
            self.account.position = frame.end
            points = None if frame.payload is None else self._read(frame.payload)
            if points is None:
                self.account.damaged += 1
            else:
                yield Record(frame.start + 1, frame.end, points)
        self._facts.close()

    def _frames(self) -> Iterator[leveldb_log.Frame]:
        with self.path.open("rb") as file:
            if file.read(len(leveldb_log.IDENT)) != leveldb_log.IDENT:
                raise ImportFailed(f"{self.path} is not a .wandb file: it does not begin as one")
            file.seek(0)
            yield from leveldb_log.frames(file)

    def _opening(self) -> bytes:
        for frame in self._frames():
            try:
                if frame.payload and Message(frame.payload).message(RUN).text(RUN_ID):
                    return frame.payload
            except ValueError:
                continue
        raise ImportFailed(f"{self.path} says nowhere which run it is; its beginning is damaged")

    def _read(self, payload: bytes) -> list[Point] | None:
        """The points of a record of any kind; None when it says nothing readable."""
        points: list[Point] = []
        try:
            for kind, record in protobuf.fields(payload):
                if kind == _HISTORY and isinstance(record, bytes):
                    points += self._row(record)
                else:
                    self._facts.read(kind, record)
        except (ValueError, RecursionError):  # no protobuf, or text that is no JSON
            return None
        return points

    def _row(self, history: bytes) -> Iterator[Point]:
        items: list[wandb_items.Item] = []
        step: int | None = None
        at: float | None = None
        for number, value in protobuf.fields(history):
            if number == _STEP:
                step = Message(value).integer(1)
            elif number == _ITEM and isinstance(value, bytes):
                items.append(wandb_items.item(value))
        for path, _, text in items:
            if path == ("_step",) and is_number(text):
                step = int(float(text)) if not text.lstrip("-").isdigit() else int(text)
            elif path == ("_timestamp",) and is_number(text):
                at = float(text)
        origin = None if step is not None else "unknown"  # shared mode: the backend numbers
        step = self._next_step if step is None else step
        self._next_step = step + 1
        self._facts.note_time(at)
        for name, value in dict(wandb_items.numbers(items)).items():
            point = self.account.point(name, value, step, at, origin)
            if point:
                yield point
