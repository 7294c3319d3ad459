"""Fifth room: one stream's segments on disk, written by the training thread.

A stream is what one process logs to one run: numbered frames in files of about 1 MiB. When the
folder cannot be written (full, read-only, not ours) segments live in memory instead, so the job's
rows still arrive while the process lives. When the stream is full its oldest segment goes.

On a file system that is not local every touch may hang, so there the training thread only queues
its frames and the sender's thread writes them; a sudden death then costs what was queued since the
sender last looked, a quarter of a second.
"""

import fcntl
import os
import stat
from collections import deque
from typing import Optional

from primus_lens_wandb_exporter import _errors, _filesystem, _frames

SEGMENT_BYTES = 1 << 20
MEMORY_BYTES = 16 << 20  # what a job whose disk is full can spare
LOCK_NAME = "owner.lock"
SUFFIX = ".seg"


class Segment:
    """One file of frames. path is "" for a segment in memory.

    index counts from 0; first and last are the sequence numbers within; size is what is written
    and may be read.
    """

    __slots__ = ("fd", "first", "index", "last", "path", "size")

    def __init__(self, index: int, path: str, fd: int, first: int) -> None:
        self.index, self.path, self.fd, self.first = index, path, fd, first
        self.last, self.size = first - 1, 0

    def read(self, start: int, end: int) -> bytes:
        """Return these bytes; fewer if the file is shorter. Raises OSError when it is gone."""
        if not self.path:
            return os.pread(self.fd, end - start, start)
        fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return os.pread(fd, end - start, start)
        finally:
            os.close(fd)

    def sync(self) -> None:
        """Bring what is written to the disk (a power cut takes only what came after)."""
        if not self.path:
            return
        fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fdatasync(fd)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Close what the writer holds; a segment in memory is gone with that."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def remove(self) -> None:
        """Delete the segment."""
        self.close()
        if self.path:
            _unlink(self.path)


class Spool:
    """The segments of one live stream.

    `append` and `note` need the stream's lock held by the caller; the rest may be called from the
    sender's thread at any time, because each touches the segment list in one atomic step.
    """

    def __init__(self, folder: str, head: bytes, limit_bytes: int) -> None:
        self.folder = folder
        self.segments: deque[Segment] = deque()
        self.seq = 0
        self.head = head
        self._limit = limit_bytes
        self._segment_bytes = min(SEGMENT_BYTES, max(limit_bytes // 8, 4096))
        self._segment: Optional[Segment] = None  # the one that is written
        self.remote = not _filesystem.is_local(folder)
        self._queue: deque[tuple[bytes, int]] = deque()
        self._queued = self._taken = 0  # bytes; each is counted by one thread alone
        self._lock_fd = -1
        self._made = 0

    def append(self, kind: int, flags: int, step: int, payload: bytes) -> None:
        """Write one record; on a local disk it is safe from the death of this process then.

        Raises OSError when neither the disk nor memory takes it; its number is then missing, which
        is how the reader knows.
        """
        self.seq = seq = self.seq + 1
        frame = _frames.encode(kind, flags, seq, step, payload)
        if not self.remote:
            self._write(frame, seq)
        elif self._queued - self._taken > MEMORY_BYTES:
            raise OSError("the spool takes no more: its file system does not keep up")
        else:
            self._queue.append((frame, seq))
            self._queued += len(frame)

    def write_queued(self) -> None:
        """Write what the training thread has queued; called by the sender's thread only."""
        while self._queue:
            frame, seq = self._queue.popleft()
            self._taken += len(frame)
            self._write(frame, seq)

    def note(self, payload: bytes) -> None:
        """Write what a later reader must know that is not a record."""
        self._write(_frames.encode(_frames.STATE, 0, self.seq, 0, payload), self.seq)

    def _write(self, frame: bytes, seq: int) -> None:
        segment = self._segment
        if segment is None or segment.size + len(frame) > self._segment_bytes:
            segment = self._rotate(seq)
        if not self._put(segment, frame):
            segment = self._rotate(seq, memory=True)
            if not self._put(segment, frame):
                raise OSError("the spool takes no more: neither disk nor memory")
        segment.last = seq

    def _put(self, segment: Segment, frame: bytes) -> bool:
        try:
            written = os.write(segment.fd, frame)
            if written == len(frame):
                segment.size += written
                return True
            os.ftruncate(segment.fd, segment.size)  # a torn frame would cost the one after it
        except OSError as error:
            _errors.note("spool_write", error)
        return False

    def _rotate(self, first: int, *, memory: bool = False) -> Segment:
        if self.segments and self.segments[-1].path:
            self.segments[-1].close()
        segment = None if memory else self._disk_segment(first)
        if segment is None:
            segment = Segment(self._made, "", os.memfd_create("primus-lens"), first)
        self._made += 1
        self._put(segment, _frames.encode(_frames.HEAD, 0, first, 0, self.head))
        self._segment = segment
        self.segments.append(segment)
        self._evict()
        return segment

    def _disk_segment(self, first: int) -> Optional[Segment]:
        try:
            if self._lock_fd < 0:
                self._open_folder()
            path = os.path.join(self.folder, f"{self._made:08d}{SUFFIX}")
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
            fd = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            _errors.note("spool_open", error)
            return None
        return Segment(self._made, path, fd, first)

    def _open_folder(self) -> None:
        make_private(os.path.dirname(self.folder))
        os.mkdir(self.folder, 0o700)
        self._lock_fd = lock(self.folder)

    def _evict(self) -> None:
        """Let the oldest segments go until the stream is within its bounds."""
        while len(self.segments) > 1:
            on_disk = sum(s.size for s in self.segments if s.path)
            in_memory = sum(s.size for s in self.segments if not s.path)
            room = self._segment_bytes
            if on_disk + in_memory + room <= self._limit and in_memory + room <= MEMORY_BYTES:
                return
            self.segments.popleft().remove()

    def remove_through(self, index: int) -> None:
        """Delete the segments up to this one; everything in them was delivered."""
        while self.segments and self.segments[0].index <= index:
            self.segments.popleft().remove()

    def close(self) -> None:
        """Close every descriptor; files stay for whoever adopts them."""
        for segment in self.segments:
            segment.close()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def remove(self) -> None:
        """Delete the stream: everything in it was delivered."""
        while self.segments:
            self.segments.popleft().remove()
        held = self._lock_fd >= 0
        if held:
            _unlink(os.path.join(self.folder, LOCK_NAME))
        self.close()
        if held:
            _rmdir(self.folder)


def make_private(folder: str) -> None:
    """Make a folder only we can enter; raises OSError when one is there that is not ours alone."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(f"{folder} is a link or belongs to user {found.st_uid}")
    if found.st_mode & 0o077:
        os.chmod(folder, 0o700)


def lock(folder: str) -> int:
    """Lock a stream for this process; raises OSError when its owner lives.

    A POSIX record lock: it ends with the process however that dies, and a forked child does not
    inherit it.
    """
    path = os.path.join(folder, LOCK_NAME)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd


def left_segments(folder: str) -> list[str]:
    """Name the segment files of a stream, oldest first."""
    return sorted(name for name in os.listdir(folder) if name.endswith(SUFFIX))


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError as error:
        _errors.note("spool_remove", error)


def _rmdir(path: str) -> None:
    try:
        os.rmdir(path)
    except OSError as error:
        _errors.note("spool_remove", error)
