"""Training thread and sender at the same instant: each meets what the other is just doing."""

import errno
import json
import os
import struct
import zlib
from types import SimpleNamespace

from receiver import accept, refuse
from streams import Bench, log, steps
from wandb.proto import wandb_internal_pb2 as pb

from primus_lens_wandb_exporter import _guard, _recorder, _spool
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


def test_rows_the_service_writes_after_the_end_are_waited_for(tmp_path, monkeypatch):
    """A run read from wandb's file ends when its end stands there, or never will."""
    path = tmp_path / "run.wandb"
    path.write_bytes(b":W&B" + bytes(3))
    spool = _spool.Spool(str(tmp_path / "spool" / "s1"), b"{}", 1 << 20)
    recorder = _recorder.Recorder("r1", "s1", spool, owned=True)
    recorder.read_from(str(path))
    recorder.end(0)
    recorder.file_is_whole()
    recorder.copy_rows(lambda: None)
    assert not recorder.ended

    row = pb.HistoryRecord(item=[pb.HistoryItem(key="loss", value_json=json.dumps(1))])
    late = pb.Record(history=row).SerializeToString()
    end = pb.Record(exit=pb.RunExitRecord(exit_code=0)).SerializeToString()
    with path.open("ab") as file:
        file.write(_chunk(late))
    recorder.copy_rows(lambda: None)
    assert (recorder.ended, spool.seq) == (False, 1)
    with path.open("ab") as file:
        file.write(_chunk(end))
    recorder.copy_rows(lambda: None)
    assert (recorder.ended, spool.seq) == (True, 2)
    spool.remove()

    other = _recorder.Recorder("r2", "s2", _Nowhere(), owned=True)
    other.read_from(str(path.with_name("none.wandb")))
    path.with_name("none.wandb").write_bytes(b":W&B" + bytes(3))
    other.end(0)
    other.file_is_whole()
    later = SimpleNamespace(monotonic=lambda: 1e12, time=lambda: 0.0)
    monkeypatch.setattr(_recorder, "time", later)
    other.copy_rows(lambda: None)
    assert other.ended


class _Nowhere:
    def append(self, *_args):
        """Take it."""


def _chunk(body):
    """Return a whole record as it lies in the file."""
    return struct.pack("<IHB", zlib.crc32(body, zlib.crc32(b"\x01")), len(body), 1) + body
