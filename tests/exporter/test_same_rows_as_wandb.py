"""What Lens is sent is what wandb wrote to its own file: same steps, same names, same values."""

import json
from pathlib import Path

import oracle
import pytest
from jsonschema import Draft202012Validator
from scenarios import OPEN, SCENARIOS

PROTOCOL = Path(__file__).parents[2] / "protocol" / "v1"
SCHEMAS = {
    f"/api/v1/wandb/{name}": Draft202012Validator(
        json.loads((PROTOCOL / f"{name}.schema.json").read_text())
    )
    for name in ("metrics", "detection")
}


def assert_valid(receiver):
    """Every request fits the schema of its endpoint."""
    for request in receiver.requests:
        SCHEMAS[request.path].validate(request.body)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_points_are_what_wandb_wrote(job, receiver, scenario):
    """Row by row: the points of a run equal the rows of its .wandb file."""
    job.run(OPEN + SCENARIOS[scenario] + "\nrun.finish()\n")
    assert receiver.curves("r1") == oracle.rows(job.file("r1"))
    assert receiver.curves("r1")
    assert_valid(receiver)


def test_every_point_is_sent_once(job, receiver):
    """No point of an undisturbed run is sent twice."""
    job.run(OPEN + "for i in range(300): wandb.log({'a': i, 'b': i})\nrun.finish()\n")
    sent = [(point["name"], point["step"]) for point in receiver.points()]
    assert sorted(sent) == sorted((name, i) for name in "ab" for i in range(300))


def test_two_runs_of_one_process_stay_apart(job, receiver):
    """Two runs open at once each get their own rows, and each wandb file agrees."""
    job.run("""
import wandb
one = wandb.init(project="p", id="one", reinit="create_new")
two = wandb.init(project="p", id="two", reinit="create_new")
for i in range(10):
    one.log({"a": i})
    two.log({"a": -i}, step=i * 2)
one.finish()
two.log({"late": 1})
two.finish()
""")
    for run_id in ("one", "two"):
        assert receiver.curves(run_id) == oracle.rows(job.file(run_id))
        assert len(receiver.curves(run_id)) >= 10


def test_reinit_starts_a_new_run(job, receiver):
    """A second wandb.init after finish is a run of its own, numbered from 0."""
    job.run("""
import wandb
for name in ("one", "two"):
    with wandb.init(project="p", id=name) as run:
        for i in range(5): wandb.log({"a": i})
""")
    assert receiver.curves("one") == receiver.curves("two") == {i: {"a": i} for i in range(5)}


def test_definitions_travel(job, receiver):
    """define_metric arrives as definitions: step metric and hidden."""
    job.run(OPEN + "wandb.define_metric('val/*', step_metric='epoch', hidden=True)\nrun.finish()\n")
    (said,) = [d for r in receiver.metrics() for d in r.body.get("definitions", [])]
    assert said == {"name": "val/*", "step_metric": "epoch", "hidden": True}


def test_large_integers_keep_their_digits(job, receiver):
    """2^70 arrives digit by digit."""
    job.run(OPEN + "wandb.log({'a': 2**70 + 1})\nrun.finish()\n")
    assert receiver.points()[0]["value"] == 2**70 + 1


def test_timestamps_are_those_of_wandb(job, receiver):
    """A point carries the time wandb gave its row."""
    job.run(OPEN + "wandb.log({'_timestamp': 1234.5, 'a': 1})\nrun.finish()\n")
    assert [point["timestamp"] for point in receiver.points()] == [1234.5]


@pytest.mark.parametrize("given", ["partial_history=row", "row, nowait=True", "row, 1"])
def test_a_row_is_seen_however_wandb_hands_it_over(job, receiver, given):
    """By name or with more beside it, the row arrives, and wandb's method gets what was given."""
    job.run(f"""
import wandb
from wandb.sdk.interface.interface_shared import InterfaceShared
import wandb.sdk.interface.interface_shared
got = []
tapped = InterfaceShared._publish_partial_history
publish = tapped.__wrapped__
from primus_lens_wandb_exporter import _intercept, _process
def anything(self, *given, **named):
    got.append((len(given), sorted(named)))
    return publish(self, *given[:1], *list(named.values())[:not given])
InterfaceShared._publish_partial_history = _intercept._row_tap(_process.start())(anything)
run = wandb.init(project="p", id="r1")
from wandb.proto import wandb_internal_pb2 as pb
row = pb.PartialHistoryRequest()
row.item.add(key="a", value_json="0.5")
run._interface._publish_partial_history({given})
run.log({{"b": 1}})
run.finish()
def record(*given, **named): return (len(given), sorted(named))
assert got[0] == record({given}), got
""")
    assert receiver.curves() == {0: {"a": 0.5}, 1: {"b": 1}}
