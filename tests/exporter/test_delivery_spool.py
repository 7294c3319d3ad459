"""The spool at its limits: full, orphaned, damaged, remote, unwritable; nothing lost unsaid."""

import errno
import itertools
import os
import threading

import pytest
from receiver import accept, refuse
from streams import Bench, adopt, log, steps

from primus_lens_wandb_exporter import (
    _filesystem,
    _frames,
    _spool,
)


def spans(receiver):
    """The records that the accepted requests claim to carry."""
    return [request.span for request in receiver.metrics() if request.key]


def test_a_full_spool_lets_the_oldest_go_and_says_so(tmp_path, receiver):
    """Within its bound the newest rows stay; received plus gaps equals produced, in points too."""
    bench = Bench(tmp_path, receiver.url, PRIMUS_LENS_WANDB_SPOOL_BYTES="65536")
    receiver.answer = refuse(503)
    recorder = bench.stream()
    for first in range(0, 4000, 100):
        log(recorder, first, first + 100)
        bench.tick()
        files = list(tmp_path.glob("primus-lens-*/s1/*.seg"))
        assert sum(path.stat().st_size for path in files) <= 65536
    receiver.answer = accept
    bench.settle()
    arrived = sorted(steps(receiver))
    assert arrived == list(range(arrived[0], 4000))
    assert arrived[0] > 0
    lost = sum(gap["last"] - gap["first"] + 1 for gap in receiver.gaps())
    assert lost + len(arrived) == 4000
    assert sum(gap["points"] for gap in receiver.gaps()) + len(receiver.points()) == 8000
    assert {gap["reason"] for gap in receiver.gaps()} == {"spool_full"}
    bench.die()


def test_no_record_is_told_lost_twice(tmp_path, receiver):
    """Batches with a hole in them, put off in an outage and let go: every record is told once."""
    bench = Bench(tmp_path, receiver.url, PRIMUS_LENS_WANDB_SPOOL_BYTES="65536")
    recorder = bench.stream()
    for first in range(0, 4000, 100):
        log(recorder, first, first + 50)
        recorder.spool.seq += 1  # as when neither disk nor memory takes a record
        log(recorder, first + 50, first + 100)
        bench.sender._next_try = bench.sender._next_adoption = float("inf")
        bench.sender.tick()
    bench.settle()
    arrived = [request.span for request in receiver.metrics() if request.key]
    told = sorted([*arrived, *((gap["first"], gap["last"]) for gap in receiver.gaps())])
    assert (told[0][0], told[-1][1]) == (1, 4040)
    assert [one for one, after in itertools.pairwise(told) if after[0] != one[1] + 1] == []
    bench.die()


def test_records_put_off_twice_are_kept_until_they_are_delivered(tmp_path, receiver):
    """An outage longer than a segment in which the oldest records are tried in vain loses none."""
    bench = Bench(tmp_path, receiver.url)
    receiver.answer = refuse(503)
    recorder = bench.stream()
    pad = "x" * 200
    for first in range(0, 6000, 200):
        log(recorder, first, first + 200, pad=pad)
        bench.tick(2)  # the second one finds nothing fresh and tries the oldest
    assert len(recorder.spool.segments) > 2
    receiver.answer = accept
    bench.settle()
    assert sorted(steps(receiver)) == list(range(6000))
    assert receiver.gaps() == []
    bench.die()


def test_an_heir_delivers_the_rest(tmp_path, receiver):
    """Another process delivers what a dead one had logged but not sent, and marks the run."""
    bench = Bench(tmp_path, receiver.url)
    recorder = bench.stream()
    log(recorder, 0, 10)
    bench.settle()
    receiver.answer = refuse(503)
    log(recorder, 10, 5000)
    bench.die()
    receiver.answer = accept
    adopt(tmp_path, receiver)
    assert sorted(set(steps(receiver))) == list(range(5000))
    assert receiver.run_facts()["state"] == "crashed"
    assert list(tmp_path.glob("primus-lens-*/*")) == []


def test_a_living_stream_is_not_adopted(tmp_path, receiver):
    """While its process lives nobody else touches a stream."""
    bench = Bench(tmp_path, receiver.url)
    log(bench.stream(), 0, 10)
    code = (
        "import sys; from primus_lens_wandb_exporter import _adopt;"
        "print(len(list(_adopt.orphans(sys.argv[1], lambda _: False))))"
    )
    import subprocess  # noqa: PLC0415 - a record lock is only felt by another process
    import sys  # noqa: PLC0415 - as above

    out = subprocess.run(
        [sys.executable, "-c", code, bench.settings.spool_dir], check=True, capture_output=True
    )
    assert out.stdout.strip() == b"0"
    bench.die()


def test_deleted_segments_are_no_gap_for_the_heir(tmp_path, receiver):
    """An heir knows that what is missing at the front was delivered, and loses no memory of it."""
    bench = Bench(tmp_path, receiver.url)
    recorder = bench.stream()
    pad = "x" * 200
    log(recorder, 0, 6000, pad=pad)
    bench.settle()
    assert recorder.spool.segments[0].index > 0
    receiver.answer = refuse(503)
    log(recorder, 6000, 6100, pad=pad)
    bench.die()
    receiver.answer = accept
    adopt(tmp_path, receiver)
    assert sorted(set(steps(receiver))) == list(range(6100))
    assert receiver.gaps() == []


def test_evicted_segments_are_a_gap_for_the_heir(tmp_path, receiver):
    """An heir tells which records were lost before it came."""
    receiver.answer = refuse(503)
    bench = Bench(tmp_path, receiver.url, PRIMUS_LENS_WANDB_SPOOL_BYTES="65536")
    log(bench.stream(), 0, 4000)
    bench.die()
    receiver.answer = accept
    adopt(tmp_path, receiver)
    arrived = sorted(steps(receiver))
    (gap,) = receiver.gaps()
    assert (gap["first"], gap["reason"]) == (1, "spool_full")
    assert gap["last"] + len(arrived) == 4000


@pytest.mark.parametrize("cut", [1, 5, 12, 30, 41])
def test_a_torn_tail_costs_one_record(tmp_path, receiver, cut):
    """A segment cut short (a power cut) gives everything up to the torn record."""
    receiver.answer = refuse(503)
    bench = Bench(tmp_path, receiver.url)
    log(bench.stream(), 0, 50)
    bench.die()
    (path,) = tmp_path.glob("primus-lens-*/s1/*.seg")
    os.truncate(path, path.stat().st_size - cut)
    receiver.answer = accept
    adopt(tmp_path, receiver)
    assert steps(receiver) == list(range(49))
    assert receiver.gaps() == []


def test_damage_costs_the_damaged_record_only(tmp_path, receiver):
    """A flipped bit loses one record, which becomes a gap, and its bytes are set aside."""
    receiver.answer = refuse(503)
    bench = Bench(tmp_path, receiver.url)
    log(bench.stream(), 0, 50)
    bench.die()
    (path,) = tmp_path.glob("primus-lens-*/s1/*.seg")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    receiver.answer = accept
    adopt(tmp_path, receiver)
    (gap,) = receiver.gaps()
    assert all(not first <= gap["first"] <= last for first, last in spans(receiver))
    assert gap["reason"] == "corrupt"
    assert gap["first"] == gap["last"]
    assert sorted(steps(receiver)) == [n for n in range(50) if n + 1 != gap["first"]]
    assert len(list(tmp_path.glob("primus-lens-*/quarantine/*.bin"))) == 1


def test_a_folder_that_cannot_be_written_keeps_rows_in_memory(tmp_path, receiver):
    """Without a disk the rows of a living process still arrive."""
    (tmp_path / "file").write_text("")
    bench = Bench(tmp_path / "file", receiver.url)
    recorder = bench.stream()
    log(recorder, 0, 3000)
    bench.settle()
    assert sorted(steps(receiver)) == list(range(3000))
    bench.die()


def test_segments_are_private(tmp_path, receiver):
    """Folders are 0700 and files 0600, whatever the umask."""
    before = os.umask(0)
    try:
        bench = Bench(tmp_path, receiver.url)
        log(bench.stream(), 0, 1)
    finally:
        os.umask(before)
    root = tmp_path / f"primus-lens-{os.getuid()}"
    assert [p.stat().st_mode & 0o777 for p in (root, root / "s1")] == [0o700, 0o700]
    assert {p.stat().st_mode & 0o777 for p in (root / "s1").iterdir()} == {0o600}
    bench.die()


def test_a_planted_link_is_not_followed(tmp_path, receiver):
    """A link where the spool should be is refused; rows stay in memory."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"primus-lens-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    bench = Bench(tmp_path, receiver.url)
    log(bench.stream(), 0, 3)
    bench.settle()
    assert steps(receiver) == [0, 1, 2]
    assert list((tmp_path / "elsewhere").iterdir()) == []
    bench.die()


def test_rows_logged_while_sending_are_all_sent(tmp_path, receiver):
    """A writer and the sender's thread at work together lose and repeat nothing."""
    bench = Bench(tmp_path, receiver.url)
    recorder = bench.stream()
    threads = [
        threading.Thread(target=log, args=(recorder, 0, 500)),
        threading.Thread(target=log, args=(recorder, 0, 500)),
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        bench.tick()
    bench.settle()
    assert sorted(steps(receiver)) == list(range(1000))
    bench.die()


def test_a_remote_folder_is_left_to_the_sender(tmp_path, receiver, monkeypatch):
    """On a network file system logging touches no file; the sender writes, and rows arrive."""
    monkeypatch.setattr(_filesystem, "is_local", lambda _folder: False)
    bench = Bench(tmp_path, receiver.url)
    recorder = bench.stream()
    log(recorder, 0, 100)
    assert list(tmp_path.iterdir()) == []
    bench.settle()
    assert steps(receiver) == list(range(100))
    assert len(list(tmp_path.glob("primus-lens-*/s1/*.seg"))) == 1
    bench.die()


def test_a_remote_folder_that_hangs_costs_bounded_memory(tmp_path, receiver, monkeypatch):
    """When nothing is written any more, what is queued stays bounded and the rest is a gap."""
    monkeypatch.setattr(_filesystem, "is_local", lambda _folder: False)
    monkeypatch.setattr(_spool, "MEMORY_BYTES", 4000)
    bench = Bench(tmp_path, receiver.url)
    recorder = bench.stream()
    log(recorder, 0, 20)
    with pytest.raises(OSError, match="does not keep up"):
        log(recorder, 20, 100)
    bench.settle()
    log(recorder, 200, 201)
    bench.settle()
    (gap,) = receiver.gaps()
    assert gap["reason"] == "spool_full"
    assert len(steps(receiver)) + gap["last"] - gap["first"] + 1 == recorder.spool.seq
    bench.die()


def mapped(recorder):
    """Whether the stream writes into mapped memory now."""
    return recorder.spool.segments[-1].room is not None


@pytest.fixture
def in_place(monkeypatch):
    """The folder lies on a file system that overwrites in place, whatever this machine has."""
    monkeypatch.setattr(_filesystem, "overwrites_in_place", lambda _folder: True)


@pytest.mark.usefixtures("in_place")
def test_an_heir_reads_a_mapped_segment(tmp_path, receiver):
    """What was copied into a mapped segment outlives its process; its empty room is no damage."""
    receiver.answer = refuse(503)
    bench = Bench(tmp_path, receiver.url)
    recorder = bench.stream()
    log(recorder, 0, 10)
    assert not mapped(recorder)
    bench.tick()
    log(recorder, 10, 5000)
    assert mapped(recorder)
    bench.die()
    receiver.answer = accept
    adopt(tmp_path, receiver)
    assert sorted(set(steps(receiver))) == list(range(5000))
    assert receiver.gaps() == []
    assert list(tmp_path.glob("primus-lens-*/*")) == []


@pytest.mark.usefixtures("in_place")
def test_an_heir_knows_that_a_run_had_ended(tmp_path, receiver):
    """A run whose end was delivered has not crashed, though its process died before tidying up."""
    bench = Bench(tmp_path, receiver.url)
    recorder = bench.stream()
    log(recorder, 0, 10)
    bench.tick()
    log(recorder, 10, 20)
    recorder.end(0)
    (feed,) = bench.sender.live
    feed.fill()
    assert bench.sender._post(feed, feed.take_ready())
    feed.settle()
    assert recorder.spool.segments[0].index > 0
    bench.die()
    adopt(tmp_path, receiver)
    assert receiver.run_facts()["state"] == "finished"
    assert list(tmp_path.glob("primus-lens-*/*")) == []


@pytest.mark.usefixtures("in_place")
def test_a_row_larger_than_a_segment_is_kept(tmp_path, receiver):
    """A row that no mapped segment has room for is written the plain way."""
    bench = Bench(tmp_path, receiver.url, PRIMUS_LENS_WANDB_SPOOL_BYTES="65536")
    recorder = bench.stream()
    log(recorder, 0, 1)
    bench.tick()
    log(recorder, 1, 2)
    assert mapped(recorder)
    log(recorder, 2, 3, width=700)
    assert not mapped(recorder)
    bench.tick()
    log(recorder, 3, 4)
    assert mapped(recorder)
    bench.settle()
    assert steps(receiver) == [0, 1, 2, 3]
    bench.die()


@pytest.mark.usefixtures("in_place")
def test_a_disk_without_room_is_never_mapped(tmp_path, receiver, monkeypatch):
    """Room that cannot be allocated is not mapped, for touching it would kill the job."""

    def full(_fd, _start, _size):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "posix_fallocate", full)
    bench = Bench(tmp_path, receiver.url)
    recorder = bench.stream()
    log(recorder, 0, 10)
    bench.tick()
    log(recorder, 10, 20)
    assert not mapped(recorder)
    bench.settle()
    assert steps(receiver) == list(range(20))
    assert sorted(path.suffix for path in tmp_path.glob("primus-lens-*/s1/*")) == [".lock", ".seg"]
    bench.die()


@pytest.mark.usefixtures("in_place")
def test_the_next_segment_is_asked_for_when_one_is_begun(tmp_path, receiver):
    """A sender that answers at once has every segment but the first mapped, however fast a job."""
    bench = Bench(tmp_path, receiver.url)
    spool = bench.stream().spool
    were_mapped = []

    def begun():
        were_mapped.append(spool.segments[-1].room is not None)
        spool.make_ready(lambda: None)

    spool._begun = begun
    for _ in range(5):
        spool.append(_frames.PLAIN_ROW, 0, 0, b"x" * (_spool.SEGMENT_BYTES // 2))
    assert were_mapped == [False, True, True, True, True]
    bench.die()


@pytest.mark.usefixtures("in_place")
def test_touching_what_follows_changes_nothing_that_is_written(tmp_path, receiver):
    """After a sync the pages that follow are touched; every row is still read."""
    receiver.answer = refuse(503)
    bench = Bench(tmp_path, receiver.url)
    recorder = bench.stream()
    for first in range(0, 100, 10):
        log(recorder, first, first + 10)
        bench.sender._next_sync = 0.0
        bench.tick()
    assert mapped(recorder)
    receiver.answer = accept
    bench.settle()
    assert sorted(steps(receiver)) == list(range(100))
    bench.die()


MOUNTS = """\
22 1 259:1 / / rw,relatime - ext4 /dev/root rw
30 22 0:30 / /mnt rw - nfs4 server:/export rw
31 30 0:31 / /mnt/fast rw - xfs /dev/nvme0 rw
32 22 0:32 / /with\\040blank rw - fuse.juicefs jfs rw
33 22 0:33 / /home rw - fuse.fuse-overlayfs overlay rw
34 22 0:34 / /mnt2 rw - lustre mds:/x rw
"""


@pytest.mark.parametrize(
    "folder, local",
    [
        ("/opt/x", True),
        ("/mnt/x/y", False),
        ("/mnt", False),
        ("/mnt/fast/x", True),
        ("/with blank/x", False),
        ("/home/me", True),
        ("/mnt2/x", False),
        ("/mnt3", True),
    ],
)
def test_the_mount_table_tells_what_is_local(tmp_path, folder, local):
    """The innermost mount decides, and the folder itself is never touched."""
    (tmp_path / "mounts").write_text(MOUNTS)
    assert _filesystem.is_local(folder, str(tmp_path / "mounts")) is local


@pytest.mark.parametrize(
    "folder, in_place",
    [("/opt/x", True), ("/mnt/fast/x", True), ("/home/me", False), ("/mnt/x", False)],
)
def test_the_mount_table_tells_what_may_be_mapped(tmp_path, folder, in_place):
    """Only file systems known to overwrite in place are mapped: not overlays, not networks."""
    (tmp_path / "mounts").write_text(MOUNTS)
    assert _filesystem.overwrites_in_place(folder, str(tmp_path / "mounts")) is in_place


def test_without_a_mount_table_folders_count_as_local(tmp_path):
    """Where there is no /proc the plain way is taken."""
    assert _filesystem.is_local("/x", str(tmp_path / "none")) is True
