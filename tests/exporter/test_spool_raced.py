"""Training thread and sender at the same instant: each meets what the other is just doing."""

import errno
import os

from receiver import accept, refuse
from streams import Bench, log, steps

from primus_lens_wandb_exporter import _guard, _spool
from primus_lens_wandb_exporter._spool import Segment

SMALL = {"PRIMUS_LENS_WANDB_SPOOL_BYTES": str(8 * 4096)}


def test_rows_written_while_their_segment_is_read_are_read_too(tmp_path, receiver, monkeypatch):
    """A segment that fills up and is left during a reading is read to its end."""
    bench = Bench(tmp_path, receiver.url, **SMALL)
    recorder = bench.stream()
    read, more = Segment.read, [60]

    def slow(segment, start, end):
        data = read(segment, start, end)
        while more:
            log(recorder, 0, more.pop())
        return data

    monkeypatch.setattr(Segment, "read", slow)
    recorder.spool._rotate(1, 0)  # what a training thread has done between head and row
    bench.tick()
    assert len(recorder.spool.segments) > 1
    bench.settle()
    assert sorted(steps(receiver)) == list(range(60))
    assert receiver.gaps() == []
    bench.die()


def test_a_segment_being_taken_is_not_made_again(tmp_path, receiver, monkeypatch):
    """The sender makes the next segment while the last one waits to be renamed: all rows arrive."""
    bench = Bench(tmp_path, receiver.url, **SMALL)
    recorder = bench.stream()
    rename, made = os.rename, []

    def slow(*args):
        made.append(args)
        recorder.spool.make_ready(lambda: None)
        rename(*args)

    log(recorder, 0, 1)
    bench.tick()
    monkeypatch.setattr(_spool.os, "rename", slow)
    log(recorder, 1, 100)
    monkeypatch.undo()
    assert made
    bench.settle()
    assert sorted(steps(receiver)) == list(range(100))
    assert receiver.gaps() == []
    bench.die()


def test_a_closed_segment_waits_for_a_free_descriptor(tmp_path, receiver, monkeypatch):
    """While nothing can be opened, the rows of a segment that is no longer written are kept."""
    monkeypatch.setattr(_guard, "reraise", False)
    receiver.answer = refuse(503)
    bench = Bench(tmp_path, receiver.url)
    recorder = bench.stream()
    log(recorder, 0, 3000, pad="x" * 200)
    assert len(recorder.spool.segments) > 1

    def none_left(*_args):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as used_up:
        used_up.setattr(_spool.os, "open", none_left)
        bench.tick(3)
    receiver.answer = accept
    bench.settle()
    assert sorted(set(steps(receiver))) == list(range(3000))
    assert receiver.gaps() == []
    bench.die()


def test_a_run_ends_once_its_end_is_written(tmp_path, receiver):
    """The sender deletes a stream that has ended; until the end is in it, it has not."""
    bench = Bench(tmp_path, receiver.url)
    recorder = bench.stream()
    log(recorder, 0, 1)
    append, ended = recorder.spool.append, []

    def watched(*args):
        ended.append(recorder.ended)
        append(*args)

    recorder.spool.append = watched
    recorder.end(0)
    assert ended == [False]
    assert recorder.ended
    bench.settle()
    assert receiver.run_facts()["state"] == "finished"
    bench.die()
