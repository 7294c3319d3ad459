"""What happens to a spool while its job lives: deleted, cleared by age, not to be opened."""

import errno
import os
import shutil
from pathlib import Path

import pytest
from receiver import accept, refuse
from streams import Bench, log, steps

from primus_lens_wandb_exporter import _filesystem, _guard, _spool


@pytest.mark.parametrize("in_place", [True, False])
def test_a_spool_somebody_deletes_costs_a_living_job_nothing(
    tmp_path, receiver, monkeypatch, in_place
):
    """Rows still arrive from what the writer holds, and the next segment lies on the disk again."""
    monkeypatch.setattr(_guard, "reraise", False)
    monkeypatch.setattr(_filesystem, "overwrites_in_place", lambda _folder: in_place)
    bench = Bench(tmp_path, receiver.url)
    recorder = bench.stream()
    log(recorder, 0, 10)
    bench.settle()
    log(recorder, 10, 20)
    bench.settle()
    assert (recorder.spool.segments[-1].room is not None) == in_place
    shutil.rmtree(bench.settings.spool_dir)
    for first in range(20, 4000, 20):
        log(recorder, first, first + 20, pad="x" * 100)
        bench.settle()
    assert len(list(tmp_path.glob("primus-lens-*/s1/*.seg"))) == 1
    assert sorted(set(steps(receiver))) == list(range(4000))
    assert receiver.gaps() == []
    bench.die()


def test_a_stream_that_cannot_be_synced_leaves_the_others_synced(tmp_path, receiver, monkeypatch):
    """The disk's trouble with one stream costs no other its share of safety."""
    monkeypatch.setattr(_guard, "reraise", False)
    bench = Bench(tmp_path, receiver.url)
    broken, sound = bench.stream("r1"), bench.stream("r2")
    synced = []
    monkeypatch.setattr(bench.sender.live[0].source, "sync", None)
    monkeypatch.setattr(bench.sender.live[1].source, "sync", synced.append)
    log(broken, 0, 1)
    log(sound, 0, 1)
    bench.tick()
    assert len(synced) == 1
    bench.die()


def test_the_lock_of_a_long_job_stays_young(tmp_path, receiver):
    """Who clears temporary folders by age finds the lock of a living job just touched."""
    bench = Bench(tmp_path, receiver.url)
    log(bench.stream(), 0, 1)
    (lock,) = tmp_path.glob("primus-lens-*/s1/owner.lock")
    os.utime(lock, (1e9, 1e9))
    bench.sender._next_adoption = 0.0
    bench.sender.tick()
    assert lock.stat().st_mtime > 1e9
    bench.die()


def test_a_job_without_descriptors_loses_no_row(tmp_path, receiver, monkeypatch):
    """While no file can be opened neither fresh rows nor those put off are given up."""
    monkeypatch.setattr(_guard, "reraise", False)
    read, faults = _spool.Segment.read, []

    def sometimes(*args):
        if faults:
            raise faults.pop()
        return read(*args)

    monkeypatch.setattr(_spool.Segment, "read", sometimes)
    bench = Bench(tmp_path, receiver.url)
    recorder = bench.stream()
    receiver.answer = refuse(503)
    log(recorder, 0, 100)
    bench.tick(2)
    receiver.answer = accept
    log(recorder, 100, 110)
    for _ in range(4):
        faults[:] = [OSError(errno.EMFILE, "Too many open files") for _ in range(5)]
        bench.tick()
    assert steps(receiver) == []
    faults.clear()
    bench.settle()
    assert sorted(set(steps(receiver))) == list(range(110))
    assert receiver.gaps() == []
    bench.die()


def test_rows_put_off_and_then_deleted_are_told_as_a_gap(tmp_path, receiver):
    """What an outage kept on the disk until somebody deleted it is counted as lost."""
    receiver.answer = refuse(503)
    bench = Bench(tmp_path, receiver.url)
    recorder = bench.stream()
    log(recorder, 0, 3000, pad="x" * 200)
    bench.tick(3)
    first = recorder.spool.segments[0]
    assert first is not recorder.spool.segments[-1]
    Path(first.path).unlink()
    receiver.answer = accept
    bench.settle()
    lost = sum(gap["last"] - gap["first"] + 1 for gap in receiver.gaps())
    assert lost
    assert len(set(steps(receiver))) + lost == 3000
    bench.die()
