"""What Lens is sent is what wandb wrote to its own file: same steps, same names, same values."""

import json
from pathlib import Path

import oracle
import pytest
from jsonschema import Draft202012Validator

PROTOCOL = Path(__file__).parents[2] / "protocol" / "v1"
SCHEMAS = {
    f"/api/v1/wandb/{name}": Draft202012Validator(
        json.loads((PROTOCOL / f"{name}.schema.json").read_text())
    )
    for name in ("metrics", "detection")
}

OPEN = """
import math, os, sys, threading
import wandb
run = wandb.init(project="p", id="r1")
"""

SCENARIOS = {
    "no step given": "for i in range(20): wandb.log({'loss': 1 / (i + 1), 'i': i})",
    "steps given": "for i in range(0, 60, 3): wandb.log({'loss': i * 0.5}, step=i)",
    "several calls for one step": """
for i in range(10):
    wandb.log({'a': i}, step=i)
    wandb.log({'b': -i}, step=i)
""",
    "commit=False collects": """
for i in range(5):
    wandb.log({'a': i}, commit=False)
    wandb.log({'b': i})
wandb.log({'last': 1}, commit=False)
""",
    "commit=True ends a given step": """
wandb.log({'a': 1}, step=4, commit=True)
wandb.log({'a': 2})
wandb.log({'a': 3}, step=9)
wandb.log({'a': 4}, commit=True)
wandb.log({}, commit=True)
wandb.log({'a': 5})
""",
    "positional step and commit": """
wandb.log({'a': 1}, 5, False)
wandb.log({'a': 2}, 6, True)
wandb.log({'a': 3}, 7)
""",
    "rows wandb drops": """
wandb.log({'a': 1}, step=10)
wandb.log({'a': 2}, step=5)
wandb.log({'b': 3}, step=10)
wandb.log({'a': 4}, step=11)
wandb.log({'a': 5}, step=-3)
""",
    "run.log": "for i in range(5): run.log({'a': i}); run.log({'b': i}, step=i + 1)",
    "nested dicts": """
wandb.log({'train': {'loss': 1.5, 'inner': {'acc': 0.25}}, 'flat': 2, 'empty': {}})
wandb.log({'a.b': 1, 'c': {'d': 2}})
""",
    "numpy scalars": """
import numpy as np
wandb.log({'f32': np.float32(0.1), 'f64': np.float64(0.1), 'i64': np.int64(7),
           'u8': np.uint8(200), 'f16': np.float16(0.5),
           'bool': np.bool_(True), 'zero_d': np.array(3.5)})
""",
    "not finite": """
wandb.log({'a': float('nan'), 'b': float('inf'), 'c': -float('inf'), 'd': 1.0})
import numpy as np
wandb.log({'a': np.float32('nan'), 'b': np.float64('inf'), 'n': {'x': float('nan')}})
""",
    "integers beyond 2^53": """
wandb.log({'a': 2**53 + 1, 'b': -2**62 - 3, 'c': 2**63 - 1, 'd': 1e308, 'e': 5e-324})
""",
    "what is no number": """
wandb.log({'text': 'hello', 'flag': True, 'none': None, 'list': [1, 2], 'tuple': (1, 2),
           'hist': wandb.Histogram([1, 2, 3]), 'number': 1, 'html': wandb.Html('<p>x</p>')})
""",
    "changed after it was logged": """
import numpy as np
row, array = {'a': 1, 'inner': {'x': 1}}, np.array(2.0)
row['array'] = array
wandb.log(row)
row['a'], row['inner']['x'] = 99, 99
array += 40
wandb.log({'b': 1})
""",
    "define_metric": """
wandb.define_metric('epoch')
wandb.define_metric('val/*', step_metric='epoch')
wandb.define_metric('test', step_metric='epoch', hidden=True)
wandb.log({'val/acc': 0.1})
wandb.log({'epoch': 1})
wandb.log({'val/acc': 0.2})
wandb.log({'test': 5}, step=10)
wandb.log({'epoch': 2.5}, step=10)
wandb.log({'val/acc': 0.3, 'other': 1}, step=11)
wandb.log({'test': 6}, step=12)
""",
    "threads": """
def work(name):
    for i in range(50): wandb.log({name: i})
threads = [threading.Thread(target=work, args=(f't{n}',)) for n in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
""",
    "odd names": r"""
wandb.log({'a/b': 1, 'ü ñ': 2, 'quote"s': 3, 'tab\t': 4, '日本': 5, '_mine': 6, '100%': 7})
""",
    "own timestamp and step keys": """
wandb.log({'_timestamp': 123.5, '_step': 77, 'a': 1})
wandb.log({'a': 2})
""",
    "wide rows": "for i in range(3): wandb.log({f'm{n}': n * i for n in range(3000)})",
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
