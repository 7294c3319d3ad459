"""Rows wandb's service makes from event files (sync_tensorboard): read from the run's own file."""

import json
import struct
import zlib
from types import SimpleNamespace

import event_file
import oracle
import pytest
from wandb.proto import wandb_internal_pb2 as pb

from primus_lens_wandb_exporter import _points, _recorder, _spool
from primus_lens_wandb_exporter._wandb_file import WandbFile

OPEN = """
import os, wandb
run = wandb.init(project="p", id="r1", reinit={reinit!r})
wandb.log({{"before": 1}}) if wandb.run else run.log({{"before": 1}})
run.log({{"pending": 2}}, commit=False)
run._tensorboard_callback("events", root_logdir="events")
run.log({{"mine": 3}})
"""
TENSORBOARD = OPEN.format(reinit=None)


@pytest.fixture
def events(job):
    """An event file in the job's folder."""
    event_file.write(job.home / "events", [(i, "loss", 1 / (i + 1)) for i in range(500)])


@pytest.mark.usefixtures("events")
@pytest.mark.parametrize(
    "end, code, state",
    [
        ("run.finish()", 0, "finished"),
        ("", 0, "finished"),
        ("import sys; sys.exit(3)", 3, "failed"),
    ],
)
def test_rows_of_the_service_arrive(job, receiver, end, code, state):
    """Rows read from event files arrive with the steps wandb gave them, however the job ends."""
    job.run(TENSORBOARD + end, code_expected=code)
    curves = receiver.curves("r1")
    assert curves == oracle.rows(job.file("r1"))
    assert sum("loss" in row for row in curves.values()) == 500
    assert {"before", "pending", "mine"} <= {name for row in curves.values() for name in row}
    assert receiver.run_facts("r1")["state"] == state


@pytest.mark.usefixtures("events")
def test_a_run_whose_file_is_not_known_sends_what_it_logs(job, receiver):
    """Without a .wandb file to read, logged rows arrive as they were logged."""
    job.run(OPEN.format(reinit="create_new") + "run.finish()", quiet=False)
    names = {name for row in receiver.curves("r1").values() for name in row}
    assert names == {"before", "pending", "mine"}


@pytest.mark.usefixtures("events")
def test_a_file_that_is_gone_does_not_hide_the_end(job, receiver):
    """When the .wandb file cannot be read any more, the run still ends."""
    move = "os.rename(run._settings.sync_file, run._settings.sync_file + '.gone')\n"
    job.run(TENSORBOARD + move + "run.finish()", quiet=False)
    assert receiver.run_facts("r1")["state"] == "finished"
    assert receiver.curves("r1")[0] == {"before": 1}


@pytest.mark.usefixtures("events")
def test_a_second_folder_of_events_changes_nothing(job, receiver):
    """Rows of a second event file arrive too, and none of the first comes twice."""
    event_file.write(job.home / "more", [(i, "accuracy", i) for i in range(50)])
    more = 'run._tensorboard_callback("more", root_logdir="more")\n'
    job.run(TENSORBOARD + more + "run.finish()")
    assert receiver.curves("r1") == oracle.rows(job.file("r1"))
    named = [(point["name"], point["step"]) for point in receiver.points("r1")]
    assert sum(name == "accuracy" for name, _ in named) == 50
    assert sum(name == "loss" for name, _ in named) == 500


@pytest.mark.usefixtures("events")
def test_a_job_that_reports_nothing_is_left_alone(job, receiver):
    """With reporting off and no local file, such a run goes its way and nothing is sent."""
    job.env["PRIMUS_LENS_WANDB_API_REPORTING"] = "false"
    job.run(TENSORBOARD + "run.finish()")
    assert len(oracle.rows(job.file("r1"))) > 500
    assert receiver.requests == []


@pytest.fixture
def recorded(job):
    """The file of a run with rows longer than a block, and with media."""
    job.run("""
import wandb
run = wandb.init(project="p", id="r1")
for i in range(4): wandb.log({f"metric {n}": n * i for n in range(2000)})
wandb.log({"weights": wandb.Histogram([1, 2, 3]), "loss": 0.5})
for i in range(50): wandb.log({"loss": i, "inner": {"accuracy": i}})
run.finish()
""")
    return job.file("r1")


def read(file):
    """Return step -> name -> value of the rows a file has now."""
    rows = {}
    before = -1
    while before != file.at:
        before = file.at
        for row in file.rows():
            values = _points.from_wandb(row.payload).values
            rows[row.step] = {name: json.loads(text) for name, text in values}
    return rows


def test_a_file_is_read_like_wandb_wrote_it(recorded):
    """Every row and number of a file is read; leaves of media are not numbers."""
    assert read(WandbFile(str(recorded), 0)) == oracle.rows(recorded)


def test_a_growing_file_gives_each_row_once(recorded, tmp_path):
    """Wherever the file ends at the moment, each row comes once and whole."""
    data, grown = recorded.read_bytes(), tmp_path / "growing.wandb"
    file, rows = WandbFile(str(grown), 0), {}
    for end in range(0, len(data) + 1009, 1009):
        grown.write_bytes(data[:end])
        new = read(file)
        assert not set(new) & set(rows)
        rows.update(new)
    assert rows == oracle.rows(recorded)


def test_rows_before_the_first_step_are_left_out(recorded):
    """Rows that were recorded as they were logged are not read again."""
    assert sorted(read(WandbFile(str(recorded), 40))) == list(range(40, 55))


def test_a_damaged_file_gives_the_rows_before_the_damage(recorded):
    """At bytes that are not what wandb wrote, reading stops without an error."""
    data = bytearray(recorded.read_bytes())
    data[len(data) // 2] ^= 0xFF
    rows = oracle.rows(recorded)
    recorded.write_bytes(data)
    found = read(WandbFile(str(recorded), 0))
    assert 0 < len(found) < len(rows)
    assert found == {step: rows[step] for step in found}


def test_the_padding_of_a_block_is_skipped(tmp_path):
    """Up to six bytes at the end of a block hold nothing; while they are missing, reading waits."""
    path = tmp_path / "padded.wandb"
    around = len(chunk(record(0, "x" * 30_000))) - 30_000
    text = "x" * (32 * 1024 - 3 - 7 - around)
    data = b":W&B" + bytes(3) + chunk(record(0, text))
    assert len(data) == 32 * 1024 - 3
    path.write_bytes(data)
    file = WandbFile(str(path), 0)
    assert read(file) == {0: {"loss": 1}}
    path.write_bytes(data + bytes(2))
    assert read(file) == {}
    path.write_bytes(data + bytes(3) + chunk(record(1, "")))
    assert read(file) == {1: {"loss": 1}}


@pytest.fixture
def finished(tmp_path):
    """A run that was finished while its file, growing.wandb, holds nothing yet."""
    path = tmp_path / "growing.wandb"
    path.write_bytes(b":W&B" + bytes(3))
    spool = _spool.Spool(str(tmp_path / "spool" / "s1"), b"{}", 1 << 20)
    recorder = _recorder.Recorder("r1", "s1", spool, owned=True)
    recorder.read_from(str(path))
    recorder.end(0)
    recorder.file_is_whole()
    yield recorder, path
    spool.remove()


def test_a_finished_run_ends_where_its_file_does(finished):
    """Rows the service writes after finish() has returned are taken; then the run ends."""
    recorder, path = finished
    end = pb.Record(exit=pb.RunExitRecord(exit_code=0)).SerializeToString()
    told = []
    for written in (b"", chunk(record(0, "")), chunk(end)):
        with path.open("ab") as file:
            file.write(written)
        recorder.copy_rows(lambda: None)
        told.append((recorder.ended, recorder.spool.seq))
    assert told == [(False, 0), (False, 1), (True, 2)]


def test_a_finished_run_whose_file_never_ends_ends_in_time(finished, monkeypatch):
    """A file that tells no end keeps that of the run back for seconds, not for ever."""
    recorder, _ = finished
    recorder.copy_rows(lambda: None)
    assert not recorder.ended
    monkeypatch.setattr(_recorder, "time", SimpleNamespace(monotonic=lambda: 1e12))
    recorder.copy_rows(lambda: None)
    assert recorder.ended


def record(step, text):
    """Return a wandb record of one row: a number, a text and a field we do not know."""
    items = [("loss", 1), ("text", text), ("_step", step)]
    row = pb.HistoryRecord(
        item=[pb.HistoryItem(key=key, value_json=json.dumps(value)) for key, value in items]
    )
    row._info.stream_id = "r1"
    return pb.Record(history=row).SerializeToString()


def chunk(body):
    """Return a whole record as it lies in the file."""
    return struct.pack("<IHB", zlib.crc32(body, zlib.crc32(b"\x01")), len(body), 1) + body
