"""One stream on its way to the server: what was read, what is ready, what still has to be retried.

Fresh records are read once, in order. A batch the server did not take becomes a hole: the place in
the segments to read it again from, so a long outage costs a few numbers of memory, not the rows.
"""

import errno
import time
from collections import deque
from typing import Any, Callable, NamedTuple, Optional

from primus_lens_wandb_exporter import _frames, _health, _unspool
from primus_lens_wandb_exporter._unspool import LoggedRow, Reading, Record

BATCH_POINTS = 5000
_RECORDS_A_BATCH = 2000
_FAR_BEHIND_BYTES = 256 << 10  # from here on catching up comes before the finest slices
_FOR_NOW = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # the job has used all up; the file is there
_NOT_RECORDS = (_frames.HEAD, _frames.STATE)


class Place(NamedTuple):
    """A place between two frames: segment index, offset in it, next sequence number, memory."""

    segment: int
    offset: int
    seq: int
    reading: Reading


class Hole(NamedTuple):
    """Records the server has not taken: where to read from, which of them, how many points."""

    place: Place
    first: int
    last: int
    points: int


class Batch(NamedTuple):
    """Consecutive records of one segment."""

    place: Place
    records: list[Record]
    points: int
    since: float


def nothing() -> None:
    """Do nothing between two records."""


class Feed:
    """The reading side of one stream.

    source: a live spool or an orphan; it has `segments`, `remove_through`, `note` and `remove`.
    pause: called every few records, so that the training thread gets the interpreter.
    """

    def __init__(self, source: Any, head: dict[str, Any], pause: Callable[[], None]) -> None:
        self.source, self.head, self.pause = source, head, pause
        self.stream: str = head["stream"]
        self.at = Place(0, 0, 1, Reading())
        self.ready: Optional[Batch] = None
        self.holes: deque[Hole] = deque()
        self.gaps: list[dict[str, Any]] = []
        self.facts: dict[str, Any] = {}
        self.rows: list[LoggedRow] = []
        self.keep_rows = False
        self.hurt = False  # damage was met since the last record
        self.again = False  # reading what was read before: nothing is counted twice
        self.synced_seq = 1
        self.damaged: Callable[[str, bytes], None] = lambda _name, _data: None

    def said_of_the_run(self) -> Record:
        """Return all that was read of what the run is, as a record without a number."""
        definitions = [
            _unspool.definition(name, said) for name, said in self.at.reading.definitions.items()
        ]
        return Record(0, [], dict(self.facts), definitions)

    def resume(self, place: Place, gap: Optional[tuple[int, int]]) -> None:
        """Start where a dead process had got to."""
        self.at = place
        if gap is not None:
            self._gap(gap[0], gap[1], "spool_full", None)

    def fill(self) -> bool:
        """Read on until a batch is full; True when it is, or when the segment has ended.

        Raises OSError when nothing can be opened for now; everything is still to be read then.
        """
        self.source.write_queued()
        while True:
            segment = self._segment()
            if segment is None:
                return False
            closed = segment is not self.source.segments[-1]  # before: it is read to its end then
            full = self._read(segment)
            if full or (closed and self.ready is not None):
                return True
            if not closed:
                return False
            self.at = Place(segment.index + 1, 0, self.at.seq, self.at.reading)

    def _segment(self) -> Any:
        """Return the segment to read on in; segments before the oldest left are gone."""
        segments = list(self.source.segments)
        for segment in segments:
            if segment.index >= self.at.segment:
                if segment.index > self.at.segment:
                    self.at = Place(segment.index, 0, self.at.seq, self.at.reading)
                return segment
        return None

    def _read(self, segment: Any) -> bool:
        start, end = self.at.offset, segment.size
        if start >= end:
            return False
        batch = self.ready or Batch(self._mark(), [], 0, time.monotonic())
        records, points = batch.records, batch.points
        try:
            data = segment.read(start, end)
        except OSError as error:
            if error.errno in _FOR_NOW:
                raise
            # Evicted between two looks; the next segment's head tells what was lost.
            self.at = Place(segment.index + 1, 0, self.at.seq, self.at.reading)
            return False
        # A record takes about 15 us, in which a training thread that wants the interpreter waits.
        stride = 1 if end - start < _FAR_BEHIND_BYTES else 16
        full = False
        for offset, item in _frames.scan(data):
            record = self._take(segment, start, data, item)
            here = self.at
            self.at = Place(segment.index, start + offset, here.seq, here.reading)
            if record is not None:
                records.append(record)
                points += len(record.points)
                full = points >= BATCH_POINTS or len(records) >= _RECORDS_A_BATCH
                if not len(records) % stride:
                    self.pause()
            if full:
                break
        if records:
            self.ready = batch._replace(points=points)
        return full

    def _mark(self) -> Place:
        return self.at._replace(reading=self.at.reading.copy())

    def _take(self, segment: Any, start: int, data: bytes, item: Any) -> Optional[Record]:
        if isinstance(item, _frames.Damage):
            self.hurt = True
            self.damaged(
                f"{self.stream}-{segment.index}-{start + item.first}", data[item.first : item.last]
            )
            return None
        if item.kind == _frames.HEAD and item.seq > self.at.seq:
            self._gap(self.at.seq, item.seq - 1, "spool_full", None)
            self.at = self.at._replace(seq=item.seq)
        if item.kind in _NOT_RECORDS or item.seq < self.at.seq:
            return None
        if item.seq > self.at.seq:
            # Without damage in between these were never written: nothing took them any more.
            self._gap(self.at.seq, item.seq - 1, "corrupt" if self.hurt else "spool_full", None)
        self.hurt = False
        place = self.at
        self.at = Place(place.segment, place.offset, item.seq + 1, place.reading)
        try:
            record = self.at.reading.record(item)
        except (ValueError, IndexError, KeyError, TypeError, AttributeError):
            self.damaged(f"{self.stream}-{item.seq}", item.payload)
            self._gap(item.seq, item.seq, "corrupt", None)
            return None
        reading = self.at.reading
        if reading.refused_names and not self.again:
            _health.add("dropped_name", reading.refused_names)
        if record.facts:
            self.facts.update(record.facts)
        if reading.logged is not None and self.keep_rows:
            self.rows.append(reading.logged)
        return record

    def take_ready(self) -> Optional[Batch]:
        """Hand over what is ready."""
        ready, self.ready = self.ready, None
        return ready

    def put_off_whole(self, batch: Batch) -> None:
        """Remember a whole batch, but for what is missing in it."""
        runs = _unspool.unbroken(batch.records)
        self.put_off(batch, [(run[0].seq, run[-1].seq) for run in runs])

    def put_off(self, batch: Batch, left: list[tuple[int, int]]) -> None:
        """Remember the ranges of a batch that have to be tried again.

        The holes stay in the order of their records: what `settle` deletes ends before the first.
        """
        for first, last in left:
            points = sum(len(r.points) for r in batch.records if first <= r.seq <= last)
            at = len(self.holes)
            while at and self.holes[at - 1].first > first:
                at -= 1
            before = self.holes[at - 1] if at else None
            if (
                before is not None
                and before.last + 1 == first
                and before.place.segment == batch.place.segment
                and before.points + points <= BATCH_POINTS
            ):
                self.holes[at - 1] = before._replace(last=last, points=before.points + points)
            else:
                self.holes.insert(at, Hole(batch.place, first, last, points))

    def next_hole(self) -> Optional[Batch]:
        """Read the oldest hole again; None when there is none. Evicted ones become gaps."""
        self.drop_evicted()
        if not self.holes:
            return None
        hole = self.holes[0]
        again = Feed(self.source, self.head, self.pause)
        again.again = True
        again.at = hole.place._replace(reading=hole.place.reading.copy())
        records: list[Record] = []
        while not records or records[-1].seq < hole.last:
            more = again.fill()
            batch = again.take_ready()
            records.extend(batch.records if batch else [])
            if again.at.segment != hole.place.segment or not (more or batch):
                break
        self.holes.popleft()
        wanted = [r for r in records if hole.first <= r.seq <= hole.last]
        if not wanted:  # somebody deleted the file
            self._gap(hole.first, hole.last, "spool_full", hole.points)
        return Batch(hole.place, wanted, hole.points, 0.0)

    def drop_evicted(self) -> None:
        """Turn holes whose segment is gone into gaps."""
        segments = list(self.source.segments)
        oldest = segments[0].index if segments else 0
        while self.holes and self.holes[0].place.segment < oldest:
            hole = self.holes.popleft()
            self._gap(hole.first, hole.last, "spool_full", hole.points)

    def lose(self, first: int, last: int, points: int) -> None:
        """Give up records the server will never take."""
        self._gap(first, last, "rejected", points)

    def _gap(self, first: int, last: int, reason: str, points: Optional[int]) -> None:
        gap: dict[str, Any] = {"first": first, "last": last, "reason": reason}
        if points is not None:
            gap["points"] = points
        if self.again:
            return
        self.gaps.append(gap)
        cause = {"spool_full": "dropped_full", "corrupt": "dropped_corrupt"}
        _health.add(cause.get(reason, "dropped_rejected"), last - first + 1)

    def settle(self) -> None:
        """Delete the segments in which nothing is left to deliver."""
        self.drop_evicted()
        place = self.holes[0].place if self.holes else self.ready.place if self.ready else self.at
        segments = list(self.source.segments)
        if not segments or segments[0].index >= place.segment:
            return
        kept = {"after": place.segment - 1, "seq": place.seq, "reading": place.reading.kept()}
        if self.source.note(kept):
            self.source.remove_through(place.segment - 1)

    def idle(self) -> bool:
        """Say whether everything read so far was delivered."""
        return not (self.ready or self.holes or self.gaps)
