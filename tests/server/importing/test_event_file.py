"""TensorBoard event files, written byte by byte: both forms of scalars, cuts, damage, folders."""

import io
import struct

import pytest

from primus_lens.client import Client
from primus_lens.importing.delivery import Delivery
from primus_lens.importing.event_file import EventFile
from primus_lens.importing.records import ImportFailed
from primus_lens.importing.tfrecord import frames, masked_checksum

AT = 1_700_000_000.25
FLOAT, DOUBLE, INT32, STRING, INT64, BOOL, BFLOAT16, HALF, UINT32, UINT64 = (
    *(1, 2, 3, 7, 9, 10, 14, 19),
    *(22, 23),
)


def varint(number):
    """A number as protobuf writes it."""
    number &= (1 << 64) - 1
    parts = []
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def field(number, value):
    """A field: an int as varint, bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def framed(payload):
    """A payload as a TFRecord."""
    length = struct.pack("<Q", len(payload))
    return b"".join(part + struct.pack("<I", masked_checksum(part)) for part in (length, payload))


def event(step=0, *values, at=AT):
    """An event with a summary of these values."""
    time = varint(1 << 3 | 1) + struct.pack("<d", at)
    summary = b"".join(field(1, value) for value in values)
    return time + field(2, step) + (field(5, summary) if values else b"")


def simple(tag, value):
    """A value of the older form."""
    return field(1, tag.encode()) + varint(2 << 3 | 5) + struct.pack("<f", value)


def tensor(tag, dtype, content, *, plugin="scalars", shape=()):
    """A value of the newer form. content: fields of the TensorProto that hold the numbers."""
    dimensions = b"".join(field(2, field(1, size)) for size in shape)
    metadata = field(9, field(1, field(1, plugin.encode()))) if plugin else b""
    proto = field(1, dtype) + field(2, dimensions) + content
    return field(1, tag.encode()) + field(8, proto) + metadata


VERSION = framed(varint(1 << 3 | 1) + struct.pack("<d", AT) + field(3, b"brain.Event:2"))


@pytest.fixture
def events(tmp_path):
    """Writes an event file of these events and reads it back."""

    def read(*given, name="events.out.tfevents.1700000000.host"):
        path = tmp_path / name
        path.write_bytes(VERSION + b"".join(map(framed, given)))
        return EventFile(path, "run")

    return read


def points(source):
    """Name, step and JSON of every point."""
    return [
        (point.name, point.step, bytes(point.value).decode())
        for record in source.records()
        for point in record.points
    ]


def test_checksum_is_crc32c():
    """The checksum is CRC-32C, rotated and shifted: RFC 3720's value for 32 zeros."""
    crc = 0x8A9136AA
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert masked_checksum(bytes(32)) == masked


def test_simple_values_are_read(events):
    """The older form: a float32, NaN and infinities included, with step and time."""
    source = events(
        event(1, simple("loss", 0.5), simple("acc", float("nan"))),
        event(2**40, simple("loss", float("-inf")), at=AT + 1),
    )
    assert points(source) == [
        ("loss", 1, "0.5"),
        ("acc", 1, '"NaN"'),
        ("loss", 2**40, '"-Infinity"'),
    ]
    first = next(point for record in source.records() for point in record.points)
    assert first.timestamp == AT
    assert (source.account.facts["started_at"], source.account.facts["ended_at"]) == (AT, AT + 1)


@pytest.mark.parametrize(
    "dtype, content, value",
    [
        (FLOAT, field(4, struct.pack("<f", 0.1)), "0.10000000149011612"),
        (DOUBLE, field(4, struct.pack("<d", 0.1)), "0.1"),
        (INT32, field(4, struct.pack("<i", -3)), "-3"),
        (INT64, field(4, struct.pack("<q", 2**53 + 1)), "9007199254740993"),
        (UINT64, field(4, struct.pack("<Q", 2**64 - 1)), "18446744073709551615"),
        (BOOL, field(4, b"\x01"), "1"),
        (HALF, field(4, struct.pack("<e", 1.5)), "1.5"),
        (BFLOAT16, field(4, struct.pack("<H", 0x3FC0)), "1.5"),
        (FLOAT, field(5, struct.pack("<f", 0.5)), "0.5"),
        (DOUBLE, field(6, struct.pack("<d", float("inf"))), '"Infinity"'),
        (INT32, field(7, varint(-5)), "-5"),
        (INT32, field(7, -5), "-5"),
        (INT64, field(10, varint(7)), "7"),
        (HALF, field(13, varint(0x3E00)), "1.5"),
        (BFLOAT16, field(13, varint(0x3FC0)), "1.5"),
        (UINT32, field(16, varint(2**32 - 1)), "4294967295"),
        (UINT64, field(17, varint(2**64 - 1)), "18446744073709551615"),
        (BOOL, field(11, varint(0)), "0"),
    ],
)
def test_tensors_of_one_element_are_read(events, dtype, content, value):
    """The newer form, in each type and spelling a writer may use."""
    assert points(events(event(3, tensor("loss", dtype, content)))) == [("loss", 3, value)]


@pytest.mark.parametrize(
    "value",
    [
        tensor("text", STRING, field(8, b"words"), plugin="text"),
        tensor("hist", DOUBLE, field(4, bytes(72)), plugin="histograms", shape=(3, 3)),
        tensor("many", FLOAT, field(4, bytes(8)), shape=(2,)),
        tensor("repeated", FLOAT, field(5, bytes(4)), shape=(5,)),
        tensor("repeated", INT32, field(7, varint(1)), shape=(5,)),
        tensor("listed", INT32, field(7, varint(1) + varint(2))),
        tensor("nothing", FLOAT, b""),
        tensor("pr", FLOAT, field(4, bytes(4)), plugin="pr_curves"),
        tensor("long", FLOAT, field(4, bytes(300))),
        tensor("odd", FLOAT, field(4, bytes(3))),
        field(1, b"image") + field(4, field(1, 8)),
    ],
)
def test_what_is_no_scalar_stays_out(events, value):
    """Text, histograms, images and curves become no points, and harm none."""
    assert points(events(event(1, value, simple("loss", 1.0)))) == [("loss", 1, "1.0")]


def test_plugin_is_remembered_for_its_tag(events):
    """A writer may say once what a tag is; what is no scalar then is none later."""
    hist = tensor("h", FLOAT, field(4, bytes(4)), plugin="histograms")
    later = tensor("h", FLOAT, field(4, bytes(4)), plugin="")
    plain = tensor("s", FLOAT, field(4, bytes(4)), plugin="")
    assert points(events(event(1, hist), event(2, later), event(3, plain))) == [("s", 3, "0.0")]


def test_point_without_a_place_is_counted(events):
    """A negative step and a name too long are left out, and counted."""
    source = events(event(-1, simple("loss", 1.0)), event(1, simple("x" * 256, 1.0)))
    assert points(source) == []
    assert source.account.refused == 2


def test_cut_anywhere_costs_the_torn_record():
    """Of a file that is cut at any byte, exactly the records before the cut are told."""
    data = VERSION + framed(b"second") + framed(b"") + framed(b"fourth")
    ends = [frame.end for frame in frames(io.BytesIO(data))]
    for cut in range(len(data) + 1):
        told = list(frames(io.BytesIO(data[:cut])))
        assert [frame.end for frame in told] == [end for end in ends if end <= cut]
        assert None not in [frame.payload for frame in told]


def test_damaged_value_costs_its_record(events):
    """A flipped bit in an event costs that event."""
    source = events(*(event(step, simple("loss", float(step))) for step in range(3)))
    data = bytearray(source.path.read_bytes())
    place = data.index(struct.pack("<f", 1.0))
    data[place] ^= 1
    source.path.write_bytes(data)
    assert points(source) == [("loss", 0, "0.0"), ("loss", 2, "2.0")]
    assert source.account.damaged == 1


def test_damaged_length_ends_the_file(events):
    """Past a damaged length nobody knows where a record begins; what came before is told."""
    source = events(event(1, simple("loss", 1.0)), event(2, simple("loss", 2.0)))
    data = bytearray(source.path.read_bytes())
    data[-len(framed(event(2, simple("loss", 2.0))))] ^= 1
    source.path.write_bytes(data)
    assert points(source) == [("loss", 1, "1.0")]
    assert source.account.damaged == 1


@pytest.mark.parametrize("payload", [b"\xff" * 20, b"\x0b", event(1, field(1, b"\xff\xfe"))])
def test_event_that_says_nothing_readable_is_damage(events, payload):
    """What is framed well and is no event is counted, and harms none."""
    source = events(payload, event(2, simple("loss", 2.0)))
    assert points(source) == [("loss", 2, "2.0")]
    assert source.account.damaged == 1


@pytest.mark.parametrize("content", [b"", b"words that are no event file at all", VERSION[:-1]])
def test_other_files_are_refused(tmp_path, content):
    """A file that does not begin as an event file is named."""
    path = tmp_path / "tfevents"
    path.write_bytes(content)
    with pytest.raises(ImportFailed, match="does not begin as a TensorBoard event file"):
        EventFile(path, "run")


def test_folders_are_runs(server, workload, import_command, tmp_path):
    """A log directory arrives as TensorBoard shows it: a run a folder, its files joined."""
    for folder, name, step in (("train", "a", 0), ("train", "b", 1), ("eval", "a", 0)):
        (tmp_path / folder).mkdir(exist_ok=True)
        path = tmp_path / folder / f"events.out.tfevents.{name}"
        path.write_bytes(VERSION + framed(event(step, simple("loss", 0.5))))
    for known in ("", ", 1 of them known already"):
        done = import_command("tfevents", tmp_path, "--workload", workload)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[0] == (
            f"eval: 1 points from {tmp_path}/eval/events.out.tfevents.a{known}"
        )
    runs = server.get(f"/workloads/{workload}").json()["runs"]
    assert {(run["run_id"], run["last_step"]) for run in runs} == {("train", 1), ("eval", 0)}


def test_run_may_be_named(server, workload, import_command, events):
    """`--run-id` names the run of a file; points come from the source tensorflow."""
    path = events(event(0, simple("loss", 0.5))).path
    import_command("tfevents", path, "--workload", workload, "--run-id", "mine")
    [run] = server.get(f"/workloads/{workload}").json()["runs"]
    assert run["run_id"] == "mine"
    [source] = server.get(f"/workloads/{workload}/metrics/sources").json()["data_sources"]
    assert source["name"] == "tensorflow"


def test_step_that_comes_twice_keeps_its_last_value(server, workload, events):
    """A run that went back to a checkpoint ends with the values of its second try."""
    source = events(*(event(1, simple("loss", value)) for value in (3.0, 2.0, 1.0)))
    with Client(server.url) as client:
        list(Delivery(client.connection, workload).deliver(source))
        list(Delivery(client.connection, workload).deliver(source))
    assert server.points(workload) == {("loss", 1): 1.0}
    [row] = server.sql(
        "SELECT performance -> 'history_total' AS total FROM training_performance "
        "WHERE workload_uid = $1",
        workload,
    )
    assert row["total"] == "2"
