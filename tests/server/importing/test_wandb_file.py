"""`.wandb` files with records that real wandb seldom writes, made by its protobuf classes."""

import struct
import zlib

import pytest
from wandb.proto import wandb_internal_pb2 as pb

from primus_lens.importing.records import ImportFailed
from primus_lens.importing.wandb_file import WandbFile

pytestmark = pytest.mark.wandb

RUN = pb.Record(run=pb.RunRecord(run_id="r"))


def row(**numbers):
    """A row of the history without a step of its own."""
    items = [pb.HistoryItem(key=name, value_json=text) for name, text in numbers.items()]
    return pb.Record(history=pb.HistoryRecord(item=items))


@pytest.fixture
def wandb_file(tmp_path):
    """Writes a file of these records, bytes as they are, and opens it."""

    def write(*records):
        data = b":W&B" + struct.pack("<HB", 0xBEE1, 0)
        for each in records:
            payload = each if isinstance(each, bytes) else each.SerializeToString()
            data += struct.pack("<IHB", zlib.crc32(b"\x01" + payload), len(payload), 1) + payload
        path = tmp_path / "run.wandb"
        path.write_bytes(data)
        return WandbFile(path)

    return write


def points(source):
    """Step, name, JSON and where the step comes from."""
    return [
        (point.step, point.name, bytes(point.value).decode(), point.step_origin)
        for record in source.records()
        for point in record.points
    ]


def test_row_without_a_step_follows_the_last(wandb_file):
    """In shared mode wandb's backend numbers rows; here they are numbered on, and say so."""
    with_step = row(a="1", _step="7")
    source = wandb_file(RUN, row(a="0"), with_step, row(a="2"))
    assert points(source) == [
        (0, "a", "0", "unknown"),
        (7, "a", "1", None),
        (8, "a", "2", "unknown"),
    ]


def test_step_of_the_record_serves_where_the_row_has_none(wandb_file):
    """Old versions kept the step beside the row."""
    record = row(a="1")
    record.history.step.num = 5
    assert points(wandb_file(RUN, record)) == [(5, "a", "1", None)]


def test_step_may_be_written_as_a_float(wandb_file):
    """A step of 1e3 is step 1000."""
    assert points(wandb_file(RUN, row(a="1", _step="1e3")))[0][0] == 1000


def test_record_that_is_no_message_is_damage(wandb_file):
    """A record that is framed well and says nothing readable costs itself."""
    bad_json = row(a='{"b": ', _step="1")
    source = wandb_file(b"\x0b\x0b", RUN, b"\xff\xff", bad_json, row(a="1", _step="2"))
    assert points(source) == [(2, "a", "1", None)]
    assert source.account.damaged == 3


def test_names_the_server_would_not_take_are_counted(wandb_file):
    """A point whose name the protocol has no place for is left out alone."""
    long = pb.HistoryItem(key="x" * 256, value_json="1")
    nul = pb.HistoryItem(key="a\0b", value_json="1")
    tab = pb.HistoryItem(key="a\tb", value_json="1")
    record = pb.Record(history=pb.HistoryRecord(item=[long, nul, tab]))
    record.history.step.num = 0
    source = wandb_file(RUN, record)
    assert [point[1] for point in points(source)] == ["a\tb"]
    assert source.account.refused == 2


def test_run_that_says_little(wandb_file):
    """A run without start, config or rows still ends, at no known time."""
    source = wandb_file(RUN, pb.Record(exit=pb.RunExitRecord(exit_code=3)))
    assert points(source) == []
    assert (source.account.facts["state"], source.account.facts["exit_code"]) == ("failed", 3)
    assert "ended_at" not in source.account.facts


def test_file_without_a_run_is_refused(wandb_file):
    """Rows that belong to nobody cannot be imported."""
    with pytest.raises(ImportFailed, match="says nowhere which run it is"):
        wandb_file(b"\x0b", row(a="1"))
