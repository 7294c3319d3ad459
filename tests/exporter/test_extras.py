"""What is added to a row, and what is written beside the job."""

import json
import sys
import types

import oracle
import pytest

from primus_lens_wandb_exporter import _extras, _system

TRAIN = """
import wandb
run = wandb.init(project="p", id="r1")
for i in range(3): wandb.log({"a": i, "n": {"b": 0.5}})
wandb.log({"c": float("nan")}, step=10)
run.finish()
"""


def recorded(path):
    """Return the keys of each row wandb wrote."""
    from wandb.proto import wandb_internal_pb2 as pb  # noqa: PLC0415 - only tests of wandb need it

    found = [pb.Record.FromString(payload) for payload in oracle.records(path)]
    return [
        {item.key or ".".join(item.nested_key): item.value_json for item in record.history.item}
        for record in found
        if record.HasField("history")
    ]


def test_rows_in_wandb_carry_the_marker(job, receiver):
    """Each row of the run in wandb has _primus_lens_enabled, and no point is made of it."""
    job.run(TRAIN)
    assert {row["_primus_lens_enabled"] for row in recorded(job.file("r1"))} == {"true"}
    assert not any(p["name"].startswith("_") for p in receiver.points())


def test_the_marker_can_be_left_out(job, receiver):
    """With MARK_ROWS off the user's run in wandb is as without us, and points still arrive."""
    job.env["PRIMUS_LENS_WANDB_MARK_ROWS"] = "false"
    job.run(TRAIN)
    assert all("_primus_lens_enabled" not in row for row in recorded(job.file("r1")))
    assert set(receiver.curves()) == {0, 1, 2, 10}


def test_system_metrics_are_added_on_request(job, receiver):
    """ENHANCE_METRICS adds the latest reading of CPU and memory to the rows."""
    pytest.importorskip("psutil")
    job.env["PRIMUS_LENS_WANDB_ENHANCE_METRICS"] = "true"
    job.run("""
import wandb
from primus_lens_wandb_exporter import _process
run = wandb.init(project="p", id="r1")
while len(_process.start().extras.items) < 2: run.log({"waiting": 1})
run.log({"a": 1})
run.finish()
""")
    names = {point["name"] for point in receiver.points()}
    assert {"_primus_sys_cpu_percent", "_primus_sys_memory_percent"} <= names
    assert "_primus_sys_cpu_percent" in recorded(job.file("r1"))[-1]


def test_rows_are_kept_beside_the_job_on_request(job, receiver):
    """OUTPUT_PATH/node_N/rank_N/wandb_metrics.jsonl holds one line per row, digits untouched."""
    job.env.update(PRIMUS_LENS_WANDB_OUTPUT_PATH=str(job.home / "out"), RANK="3", NODE_RANK="1")
    job.run(TRAIN)
    path = job.home / "out" / "node_1" / "rank_3" / "wandb_metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["run_id"], line["step"], line["data"]) for line in lines] == [
        ("r1", 0, {"a": 0, "n.b": 0.5}),
        ("r1", 1, {"a": 1, "n.b": 0.5}),
        ("r1", 2, {"a": 2, "n.b": 0.5}),
        ("r1", 10, {"c": "NaN"}),
    ]
    assert all(line["timestamp"] > 1e9 for line in lines)
    assert set(receiver.curves()) == {0, 1, 2, 10}


def test_the_local_file_needs_no_server(job, receiver):
    """With reporting off, rows are still written beside the job and nothing is sent."""
    job.env.update(
        PRIMUS_LENS_WANDB_OUTPUT_PATH=str(job.home / "out"), PRIMUS_LENS_WANDB_API_REPORTING="no"
    )
    job.run(TRAIN)
    path = job.home / "out" / "node_0" / "rank_0" / "wandb_metrics.jsonl"
    assert len(path.read_text().splitlines()) == 4
    assert receiver.requests == []
    assert job.streams() == []


@pytest.mark.parametrize("switch", ["PRIMUS_LENS_WANDB_SAVE_LOCAL", "PRIMUS_LENS_WANDB_HOOK"])
def test_the_local_file_can_be_switched_off(job, switch):
    """SAVE_LOCAL=false writes no file, whatever the output path."""
    job.env.update({"PRIMUS_LENS_WANDB_OUTPUT_PATH": str(job.home / "out"), switch: "false"})
    job.run(TRAIN)
    assert not (job.home / "out").exists()


def fake_nvml():
    """A GPU reader of two devices, as pynvml looks."""
    nvml = types.ModuleType("pynvml")
    nvml.nvmlInit = lambda: None
    nvml.nvmlDeviceGetCount = lambda: 2
    nvml.nvmlDeviceGetHandleByIndex = lambda n: n
    nvml.nvmlDeviceGetUtilizationRates = lambda n: types.SimpleNamespace(gpu=10 * n)
    nvml.nvmlDeviceGetMemoryInfo = lambda n: types.SimpleNamespace(used=n, total=4)
    return nvml


def fake_amdsmi():
    """A GPU reader of two devices, as amdsmi looks."""
    smi = types.ModuleType("amdsmi")
    smi.amdsmi_init = lambda: None
    smi.amdsmi_get_processor_handles = lambda: [0, 1]
    smi.amdsmi_get_gpu_activity = lambda n: {"gfx_activity": 10 * n}
    smi.amdsmi_get_gpu_vram_usage = lambda n: {"vram_used": n, "vram_total": 4}
    return smi


@pytest.mark.parametrize("make", [fake_nvml, fake_amdsmi])
def test_gpus_of_both_makers_are_read(monkeypatch, make):
    """Busy share and memory share of each GPU are attached, in percent."""
    module = make()
    for name in ("psutil", "pynvml", "amdsmi"):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    monkeypatch.setitem(sys.modules, module.__name__, module)
    extras = _extras.Extras()
    _system.Sampler(extras).sample()
    assert dict(extras.items) == {
        "_primus_sys_gpu_0_percent": "0.0",
        "_primus_sys_gpu_0_memory_percent": "0.0",
        "_primus_sys_gpu_1_percent": "10.0",
        "_primus_sys_gpu_1_memory_percent": "25.0",
    }


def test_sampling_is_rare(monkeypatch):
    """Between two readings lie seconds, however often it is asked."""
    read = []
    psutil = types.ModuleType("psutil")
    psutil.cpu_percent = lambda: read.append(1) or 1.0
    psutil.virtual_memory = lambda: types.SimpleNamespace(percent=2.0)
    monkeypatch.setitem(sys.modules, "psutil", psutil)
    sampler = _system.Sampler(_extras.Extras())
    for _ in range(50):
        sampler.sample()
    assert len(read) == 1


def test_later_extras_replace_earlier_ones_of_their_name():
    """The marker stays, a reading is the latest, each as JSON text."""
    extras = _extras.Extras()
    extras.put({_extras.MARK: True})
    extras.put({"_primus_sys_cpu_percent": 12.5})
    extras.put({"_primus_sys_cpu_percent": 99.0})
    assert dict(extras.items) == {_extras.MARK: "true", "_primus_sys_cpu_percent": "99.0"}


def test_a_row_in_typed_values_alone_is_given_the_marker_as_typed(job, receiver):
    """What is added follows the encoding of the run's rows, so no item is left without a value."""
    pytest.importorskip("wandb.sdk.interface.history_value", reason="typed values came with 0.31")
    job.run("""
import wandb
from wandb.proto import wandb_internal_pb2 as pb
run = wandb.init(project="p", id="r1")
row = pb.PartialHistoryRequest()
row.item.add(key="a", integer=2**53 + 1)
run._interface._publish_partial_history(row)
assert (row.item[-1].key, row.item[-1].json) == ("_primus_lens_enabled", "true"), row
assert not row.item[-1].value_json
run.finish()
""")
    assert receiver.curves()[0] == {"a": 2**53 + 1}


def test_a_row_in_both_encodings_arrives_once(job, receiver):
    """x_history_value_encoding="json,typed" changes no value."""
    pytest.importorskip("wandb.sdk.interface.history_value", reason="typed values came with 0.31")
    job.run("""
import wandb
both = wandb.Settings(x_history_value_encoding="json,typed")
run = wandb.init(project="p", id="r1", settings=both)
run.log({"a": 2**53 + 1, "b": float("nan"), "c": 0.1})
run.finish()
""")
    assert receiver.curves() == {0: {"a": 2**53 + 1, "b": "NaN", "c": 0.1}}
