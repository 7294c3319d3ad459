"""Streams whose process died: found, locked and read like live ones."""

import json
import os
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, Callable, NamedTuple, Optional

from primus_lens_wandb_exporter import _errors, _frames, _spool
from primus_lens_wandb_exporter._feed import Place
from primus_lens_wandb_exporter._unspool import Reading

_EMPTY_FOR_S = 3600.0  # a folder without segments may belong to a process that is just starting
QUARANTINE = "quarantine"
_QUARANTINE_FILES = 64
_QUARANTINE_BYTES = 1 << 20


class Stream(NamedTuple):
    """One stream in a spool folder. size: bytes. owned: its process lives."""

    name: str
    size: int
    segments: int
    owned: bool


class Survey(NamedTuple):
    """What lies in a spool folder. quarantined: how many files were set aside."""

    streams: list[Stream]
    quarantined: int


def survey(spool_dir: str) -> Survey:
    """Look at every stream without touching one. Raises OSError when the folder cannot be read."""
    streams, quarantined = [], 0
    for name in sorted(os.listdir(spool_dir)):
        folder = os.path.join(spool_dir, name)
        if name == QUARANTINE:
            quarantined = len(os.listdir(folder))
        elif os.path.isdir(folder):
            files = _spool.left_segments(folder)
            size = sum(os.path.getsize(os.path.join(folder, file)) for file in files)
            streams.append(Stream(name, size, len(files), _is_owned(folder)))
    return Survey(streams, quarantined)


def _is_owned(folder: str) -> bool:
    try:
        os.close(_spool.lock(folder))
    except OSError:
        return True
    return False


class Orphan:
    """The segments of a dead process's stream, locked by us."""

    def __init__(self, folder: str, lock_fd: int) -> None:
        self.folder = folder
        self._lock_fd = lock_fd
        self.segments: deque[_spool.Segment] = deque()
        for name in _spool.left_segments(folder):
            path = os.path.join(folder, name)
            segment = _spool.Segment(int(name[: -len(_spool.SUFFIX)]), path, -1, 0)
            segment.size = os.path.getsize(path)
            self.segments.append(segment)

    def head(self) -> Optional[dict[str, Any]]:
        """Return what the stream says about itself; None when no segment can tell."""
        for segment in self.segments:
            for _, item in _frames.scan(segment.read(0, segment.size)):
                if isinstance(item, _frames.Frame) and item.kind == _frames.HEAD:
                    head = json.loads(item.payload)
                    return head if isinstance(head, dict) else None
        return None

    def start(self) -> tuple[Place, Optional[tuple[int, int]]]:
        """Return where to read from, and the records that were lost before it."""
        oldest = self.segments[0].index if self.segments else 0
        if oldest == 0:
            return Place(0, 0, 1, Reading()), None
        found: dict[str, Any] = {"after": -1, "seq": 1, "reading": {}}
        first = 0
        for segment in self.segments:
            for _, item in _frames.scan(segment.read(0, segment.size)):
                if not isinstance(item, _frames.Frame):
                    continue
                if item.kind == _frames.STATE:
                    said = json.loads(item.payload)
                    found = said if said["after"] > found["after"] else found
                elif item.kind == _frames.HEAD:
                    first = first or item.seq
        place = Place(oldest, 0, max(first, found["seq"]), Reading(found["reading"]))
        lost = (found["seq"], first - 1) if first > found["seq"] else None
        return place, lost

    def write_queued(self) -> None:
        """Do nothing: the dead queue nothing."""

    def note(self, kept: dict[str, Any]) -> bool:
        """Write what the next reader must know behind the last frame."""
        frame = _frames.encode(_frames.STATE, 0, kept["seq"], 0, json.dumps(kept).encode())
        fd = os.open(self.segments[-1].path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
        try:
            os.write(fd, frame)
        finally:
            os.close(fd)
        return True

    def remove_through(self, index: int) -> None:
        """Delete the segments up to this one."""
        while self.segments and self.segments[0].index <= index:
            self.segments.popleft().remove()

    def close(self) -> None:
        """Let go of the stream; its files stay."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def remove(self) -> None:
        """Delete the stream."""
        while self.segments:
            self.segments.popleft().remove()
        _remove_folder(self.folder)
        self.close()


def orphans(spool_dir: str, is_own: Callable[[str], bool]) -> Iterator[Orphan]:
    """Lock and yield each stream in the folder whose owner is dead.

    is_own is asked after the folder was listed: a stream of ours that is opened meanwhile must not
    be locked again, because giving up the second lock would give up the first.
    """
    try:
        names = sorted(os.listdir(spool_dir))
    except OSError:
        return
    for name in names:
        if name != QUARANTINE and not is_own(name):
            orphan = _adopt(os.path.join(spool_dir, name))
            if orphan is not None:
                yield orphan


def _adopt(folder: str) -> Optional[Orphan]:
    try:
        if not _spool.left_segments(folder):
            if time.time() - os.stat(folder).st_mtime > _EMPTY_FOR_S:
                _remove_folder(folder)
            return None
        return Orphan(folder, _spool.lock(folder))
    except (OSError, ValueError):
        return None  # its owner lives, or it is not one of ours


def _remove_folder(folder: str) -> None:
    try:
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        os.rmdir(folder)
    except OSError as error:
        _errors.note("spool_remove", error)


def quarantine(spool_dir: str, name: str, data: bytes) -> None:
    """Set bytes aside that could not be read or were never accepted, within a small bound."""
    folder = os.path.join(spool_dir, QUARANTINE)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if len(os.listdir(folder)) >= _QUARANTINE_FILES:
            return
        path = os.path.join(folder, f"{name}.bin")
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            os.write(fd, data[:_QUARANTINE_BYTES])
        finally:
            os.close(fd)
    except OSError as error:
        _errors.note("quarantine", error)
