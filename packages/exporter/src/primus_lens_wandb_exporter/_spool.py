"""Fifth room: one stream's segments on disk, written by the training thread.

A stream is what one process logs to one run: numbered frames in files of about 1 MiB. When the
folder cannot be written (full, read-only, not ours) segments live in memory instead, so the job's
rows still arrive while the process lives. When the stream is full its oldest segment goes.

Where the file system allows, the sender's thread keeps the next segment ready: its room allocated
and mapped, so that writing a record is copying its bytes. That is what survives the process as well
as a write does, and costs neither a system call nor the interpreter lock, which other threads of
wandb's take for up to 100 us while we write (docs/adr/0014-mapped-segments.md).

On a file system that is not local every touch may hang, so there the training thread only queues
its frames and the sender's thread writes them; a sudden death then costs what was queued since the
sender last looked, a quarter of a second.
"""

import fcntl
import mmap
import os
import stat
from collections import deque
from typing import Callable, Optional
from zlib import crc32

from primus_lens_wandb_exporter import _errors, _filesystem, _frames

SEGMENT_BYTES = 1 << 20
MEMORY_BYTES = 16 << 20  # what a job whose disk is full can spare
LOCK_NAME = "owner.lock"
SUFFIX = ".seg"
_NEXT_NAME = "next-"
_PAGES_A_PAUSE = 16  # touching a page takes some 3 us, in which the training thread waits
AT_HAND_BYTES = _PAGES_A_PAUSE * mmap.PAGESIZE
_inner, _outer = _frames.INNER.pack, _frames.OUTER.pack


class Segment:
    """One file of frames. path is "" for a segment in memory.

    index counts from 0; first and last are the sequence numbers within; size is what is written
    and may be read. room: the file's bytes where they are mapped, zeros beyond size. room_bytes:
    how many; 0 where they are not.
    """

    __slots__ = ("fd", "first", "index", "last", "path", "room", "room_bytes", "size")

    def __init__(self, index: int, path: str, fd: int, first: int) -> None:
        self.index, self.path, self.fd, self.first = index, path, fd, first
        self.last, self.size = first - 1, 0
        self.room: Optional[mmap.mmap] = None
        self.room_bytes = 0

    def map(self, room: mmap.mmap) -> None:
        """Be written by copying into these bytes."""
        self.room, self.room_bytes = room, len(room)

    def write(self, frame: bytes) -> bool:
        """Append a frame; False where it does not fit. Raises OSError."""
        start, room = self.size, self.room
        if room is not None:
            end = start + len(frame)
            if end > self.room_bytes:
                return False
            room[start:end] = frame
            self.size = end
            return True
        written = os.write(self.fd, frame)
        if written != len(frame):
            os.ftruncate(self.fd, start)  # a torn frame would cost the one after it
            return False
        self.size = start + written
        return True

    def read(self, start: int, end: int) -> bytes:
        """Return these bytes; fewer if the file is shorter. Raises OSError when it is gone."""
        if not self.path:
            return os.pread(self.fd, end - start, start)
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            try:
                return self._read_held(start, end)
            except FileNotFoundError:
                raise error from None  # it tells whether the file is gone, or cannot be opened now
        try:
            return os.pread(fd, end - start, start)
        finally:
            os.close(fd)

    def _read_held(self, start: int, end: int) -> bytes:
        """Read what the writer holds: somebody deleted its file, and may have deleted the folder.

        The training thread may close it meanwhile, so each is looked at once.
        """
        room, fd = self.room, self.fd
        if room is None and fd < 0:
            raise FileNotFoundError(f"{self.path} is gone")
        try:
            return room[start:end] if room is not None else os.pread(fd, end - start, start)
        except ValueError as error:
            raise FileNotFoundError(f"{self.path} is gone") from error

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
        room, self.room, self.room_bytes = self.room, None, 0
        if room is not None:
            room.close()
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

    begun: called when a segment was begun, so that the sender makes the next one ready in time.
    """

    def __init__(
        self, folder: str, head: bytes, limit_bytes: int, begun: Callable[[], None] = lambda: None
    ) -> None:
        self.folder, self._begun = folder, begun
        self.segments: deque[Segment] = deque()
        self.seq = 0
        self.head = head
        self._limit = limit_bytes
        self._segment_bytes = min(SEGMENT_BYTES, max(limit_bytes // 8, 4096))
        self._segment: Optional[Segment] = None  # the one that is written
        self.remote = not _filesystem.is_local(folder)
        self._maps = not self.remote and _filesystem.overwrites_in_place(folder)
        self._next: Optional[tuple[str, mmap.mmap]] = None  # for the training thread to take
        self._readied = 0
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
        # What `_frames.encode` and `Segment.write` do, without their calls.
        body = _inner(kind, flags, seq, step) + payload
        frame = _outer(_frames.MAGIC, len(body), crc32(body)) + body
        segment = self._segment
        if segment is not None:
            start, end = segment.size, segment.size + len(frame)
            if end <= segment.room_bytes:
                segment.room[start:end] = frame  # type: ignore[index]
                segment.size, segment.last = end, seq
                return
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

    def make_ready(self, pause: Callable[[], None]) -> None:
        """Keep the next segment ready; called by the sender's thread only.

        pause: called now and then, so that the training thread gets the interpreter. A file system
        without the room is asked once: rows are then written the plain way.
        """
        if not self._maps or self._next is not None or self._segment is None:
            return
        # A name of its own: the training thread may have taken the last one and not yet renamed it.
        path = os.path.join(self.folder, f"{_NEXT_NAME}{self._readied}")
        self._readied += 1
        try:
            self._next = path, _mapped(path, self._segment_bytes, pause)
        except (OSError, ValueError) as error:
            self._maps = False
            _errors.note("spool_map", error)
            _unlink(path)

    def keep_at_hand(self, nearest: int) -> None:
        """Touch a few of the pages that are written next; the stream's lock is held.

        Syncing a file makes the next write to each of its pages a fault, some 25 us long in a job.
        nearest: how many bytes ahead the first of them lies.
        """
        segment = self._segment
        if segment is not None and segment.room is not None:
            first = segment.size + nearest
            end = min(first + AT_HAND_BYTES, segment.room_bytes)
            for unwritten in range(first, end, mmap.PAGESIZE):
                segment.room[unwritten] = 0

    def keep_young(self) -> None:
        """Touch the lock: who clears temporary folders by age would take it from a long job.

        Without it the stream would pass for one whose process is dead. Raises OSError.
        """
        if self._lock_fd >= 0:
            os.utime(self._lock_fd)

    def note(self, payload: bytes) -> None:
        """Write what a later reader must know that is not a record."""
        self._write(_frames.encode(_frames.STATE, 0, self.seq, 0, payload), self.seq)

    def _write(self, frame: bytes, seq: int) -> None:
        segment = self._segment
        if segment is None or self._is_over(segment, frame):
            segment = self._rotate(seq, len(frame))
        if not self._put(segment, frame):
            segment = self._rotate(seq, len(frame), memory=True)
            if not self._put(segment, frame):
                raise OSError("the spool takes no more: neither disk nor memory")
        segment.last = seq

    def _is_over(self, segment: Segment, frame: bytes) -> bool:
        """Say whether a segment is full, or written the plain way while a mapped one is ready."""
        if segment.room is None and self._next is not None:
            return True
        return segment.size + len(frame) > self._segment_bytes

    def _put(self, segment: Segment, frame: bytes) -> bool:
        try:
            return segment.write(frame)
        except OSError as error:
            _errors.note("spool_write", error)
            return False

    def _rotate(self, first: int, room: int, *, memory: bool = False) -> Segment:
        """Begin a segment whose first record is `first` and takes `room` bytes."""
        if self.segments and os.path.exists(self.segments[-1].path):
            self.segments[-1].close()  # one that somebody deleted is still read from what we hold
        head = _frames.encode(_frames.HEAD, 0, first, 0, self.head)
        segment = None
        if not memory:
            segment = self._mapped_segment(first, len(head) + room) or self._disk_segment(first)
        if segment is None:
            segment = Segment(self._made, "", os.memfd_create("primus-lens"), first)
        self._made += 1
        self._put(segment, head)
        self._segment = segment
        self.segments.append(segment)
        self._evict()
        self._begun()
        return segment

    def _mapped_segment(self, first: int, room: int) -> Optional[Segment]:
        """Take the segment that is ready, if there is one with that much room."""
        if self._next is None or room > self._segment_bytes:
            return None
        (ready, mapped), self._next = self._next, None
        path = os.path.join(self.folder, f"{self._made:08d}{SUFFIX}")
        try:
            os.rename(ready, path)
        except OSError as error:
            _errors.note("spool_open", error)
            mapped.close()
            return None
        segment = Segment(self._made, path, -1, first)
        segment.map(mapped)
        return segment

    def _disk_segment(self, first: int) -> Optional[Segment]:
        try:
            if self._lock_fd >= 0 and not os.path.isdir(self.folder):
                os.close(self._lock_fd)  # somebody deleted the folder
                self._lock_fd = -1
            if self._lock_fd < 0:
                self._open_folder()
            path = os.path.join(self.folder, f"{self._made:08d}{SUFFIX}")
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND
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
        while len(segments := list(self.segments)) > 1:
            on_disk = sum(s.size for s in segments if s.path)
            in_memory = sum(s.size for s in segments if not s.path)
            room = self._segment_bytes * (1 + self._maps)
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
        ready, self._next = self._next, None
        if ready is not None:
            ready[1].close()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def remove(self) -> None:
        """Delete the stream: everything in it was delivered."""
        while self.segments:
            self.segments.popleft().remove()
        held = self._lock_fd >= 0
        if held:
            if self._next is not None:
                _unlink(self._next[0])
            _unlink(os.path.join(self.folder, LOCK_NAME))
        self.close()
        if held:
            _rmdir(self.folder)


def _mapped(path: str, size: int, pause: Callable[[], None]) -> mmap.mmap:
    """Make a file of zeros, its room allocated and its pages at hand. Raises OSError.

    Allocated first, because a mapped byte that finds no room kills the process.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600)
    try:
        os.posix_fallocate(fd, 0, size)
        mapped = mmap.mmap(fd, size)
    finally:
        os.close(fd)
    for page in range(0, size, mmap.PAGESIZE):
        mapped[page] = 0
        if not page % (mmap.PAGESIZE * _PAGES_A_PAUSE):
            pause()
    return mapped


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
