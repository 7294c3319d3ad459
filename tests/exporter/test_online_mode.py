"""Online mode: what Lens is sent is what wandb writes to its file and what it sends to its cloud.

The cloud is a stand-in on a local port; wandb, its wandb-core and their requests are real.
"""

import oracle
import pytest
from job import Job
from receiver import Receiver
from scenarios import SCENARIOS
from wandb_cloud import FILE_STREAM, GRAPHQL, WandbCloud

pytestmark = pytest.mark.wandb


class Place:
    """A job in online mode, its cloud and the receiver of the exporter."""

    def __init__(self, home):
        self.cloud, self.receiver = WandbCloud(), Receiver()
        self.job = Job(home, self.receiver.url)
        self.job.env |= {
            "WANDB_MODE": "online",
            "WANDB_BASE_URL": self.cloud.url,
            "WANDB_API_KEY": "0" * 40,
            # Whole seconds, 15 and 2 by default; wandb-core takes less than 1 for none given.
            "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1",
            "WANDB_X_FILE_STREAM_RETRY_WAIT_MIN_SECONDS": "1",
        }

    def files(self, run_id):
        """Return wandb's own files of a run, oldest first."""
        found = self.job.home.glob(f"wandb/run-*/run-{run_id}.wandb")
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)

    def close(self):
        """Stop both servers; the cloud was asked nothing it could not answer."""
        self.cloud.close()
        self.receiver.close()
        assert self.cloud.unknown == []


@pytest.fixture
def place(tmp_path):
    """A place of the test's own."""
    place = Place(tmp_path)
    yield place
    place.close()


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """Every scenario, logged online by one job, each as a run of its own."""
    place = Place(tmp_path_factory.mktemp("online"))
    code = ["import math, os, sys, threading", "import wandb"]
    for number, scenario in enumerate(SCENARIOS.values()):
        code += [f"run = wandb.init(project='p', id='r{number}')", scenario, "run.finish()"]
    place.job.run("\n".join(code))
    yield place
    place.close()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_points_are_what_wandb_sent_to_its_cloud(logged, scenario):
    """Row by row: points, the local .wandb file and the rows the cloud was sent are the same."""
    run_id = f"r{list(SCENARIOS).index(scenario)}"
    rows = logged.cloud.runs[run_id].rows()
    assert logged.receiver.curves(run_id) == rows
    (file,) = logged.files(run_id)
    assert oracle.rows(file) == rows
    assert rows


FIRST = """
import wandb
for name in ("must", "allow", "parent", "rewound"):
    with wandb.init(project="p", id=name) as run:
        for i in range(5): run.log({"a": i, "epoch": i})
        run.log({"a": 40}, step=40)
"""
SECOND = """
import wandb
def go_on(**how):
    with wandb.init(project="p", **how) as run:
        wandb.define_metric("accuracy", step_metric="epoch")
        run.log({"a": 1})
        run.log({"gone": 1}, step=2)
        run.log({"accuracy": 0.5})
        run.log({"epoch": 9, "a": 2}, step=60)
        run.log({"accuracy": 0.75})
        run.log({"a": 3}, commit=False)
go_on(id="must", resume="must")
go_on(id="allow", resume="allow")
go_on(id="child", fork_from="parent?_step=3")
go_on(id="rewound", resume_from="rewound?_step=3")
"""


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """Runs of one process that a second process goes on with."""
    place = Place(tmp_path_factory.mktemp("resumed"))
    place.job.run(FIRST)
    place.job.run(SECOND)
    yield place
    place.close()


@pytest.mark.parametrize("run_id", ["must", "allow"])
def test_a_resumed_run_goes_on_at_the_step_the_cloud_says(resumed, run_id):
    """The rows of both processes are those the cloud has: the second's begin behind the first's."""
    curves = resumed.receiver.curves(run_id)
    assert curves == resumed.cloud.runs[run_id].rows()
    first, second = map(oracle.rows, resumed.files(run_id))
    assert curves == {**first, **second}
    assert (max(first), min(second)) == (40, 41)


def test_a_forked_run_begins_behind_the_step_it_was_forked_at(resumed):
    """fork_from: the rows of the new run are those the cloud has, from the forked step on."""
    curves = resumed.receiver.curves("child")
    assert curves == resumed.cloud.runs["child"].rows()
    assert min(curves) == 4


def test_a_rewound_run_goes_on_behind_the_step_it_was_rewound_to(resumed):
    """resume_from: what is logged then has wandb's steps; rows the cloud forgot stay in Lens."""
    curves = resumed.receiver.curves("rewound")
    second = oracle.rows(resumed.files("rewound")[1])
    assert min(second) == 4
    assert {step: curves[step].items() & row.items() for step, row in second.items()} == {
        step: row.items() for step, row in second.items()
    }
    assert set(curves) - set(resumed.cloud.runs["rewound"].rows()) == {40}


IN_TWO_HALVES = """
import sys, wandb
run = wandb.init(project="p", id="r1")
for i in range(10): run.log({"i": i, "inner": {"half": i / 2}})
print("half", flush=True)
sys.stdin.readline()
for i in range(10, 20): run.log({"i": i, "inner": {"half": i / 2}})
print("logged", flush=True)
run.finish()
print("finished", flush=True)
"""
ROWS = {i: {"i": i, "inner.half": i / 2} for i in range(20)}


def outcome(place, trouble, *, exporter, recovers):
    """Let the cloud misbehave in the middle of a job: what became of that."""
    place.job.env["PRIMUS_LENS_WANDB_HOOK"] = str(exporter)
    process = place.job.start(IN_TWO_HALVES)
    assert process.stdout.readline() == "half\n"
    place.cloud.wait_for(lambda cloud: len(cloud.runs["r1"].history) == 10)
    place.cloud.answer = lambda path: trouble if path.endswith(FILE_STREAM) else None
    process.stdin.write("\n")
    process.stdin.flush()
    place.cloud.wait_for(lambda cloud: cloud.refused)
    if exporter:
        place.receiver.wait_for(lambda receiver: 19 in receiver.curves("r1"))
    if recovers:
        place.cloud.answer = lambda _path: None
        place.cloud.release.set()
    out, err = process.communicate(timeout=60)
    assert "[primus-lens]" not in err
    run = place.cloud.runs["r1"]
    return process.returncode, out, oracle.rows(place.files("r1")[0]), run.rows(), run.exit_code


@pytest.mark.parametrize("trouble, recovers", [(500, True), ("stall", True), (403, False)], ids=str)
def test_trouble_with_the_cloud_is_not_ours(place, tmp_path, trouble, recovers):
    """Every row arrives while the cloud takes none; the job ends as it does without us."""
    ours = outcome(place, trouble, exporter=True, recovers=recovers)
    assert place.receiver.curves("r1") == ROWS
    assert place.receiver.run_facts("r1")["state"] == "finished"
    (tmp_path / "bare").mkdir()
    bare = Place(tmp_path / "bare")
    assert outcome(bare, trouble, exporter=False, recovers=recovers) == ours
    assert ours[0] == 0
    assert bare.receiver.requests == []
    bare.close()


def test_a_run_the_cloud_refuses_is_refused_with_us_too(place):
    """When the cloud refuses the run, wandb.init raises the same, and nothing is sent."""
    place.cloud.answer = lambda path: 403 if path == GRAPHQL else None
    code = """
import wandb
try: wandb.init(project="p", id="r1")
except Exception as error: print(type(error), error)
"""
    said = place.job.run(code)
    assert "CommError" in said
    place.job.env["PRIMUS_LENS_WANDB_HOOK"] = "false"
    assert place.job.run(code) == said
    assert place.receiver.requests == []


def test_shared_rows_are_marked_as_numbered_elsewhere(place):
    """Shared mode: every row arrives, numbered as this writer's are until the backend does.

    wandb ignores steps that are given there, so no row is behind another, and none is dropped.
    """
    place.job.run("""
import wandb
shared = wandb.Settings(mode="shared", x_primary=True, x_label="rank 0")
run = wandb.init(project="p", id="r1", settings=shared)
for i in range(3): run.log({"a": i})
run.log({"b": 1}, step=70)
run.log({"b": 2}, step=70)
run.log({"b": 3}, step=5)
run.log({"c": 1}, step=80, commit=False)
run.log({"d": 1}, commit=True)
run.log({"e": 1}, commit=False)
run.finish()
""")
    assert place.receiver.curves("r1") == place.cloud.runs["r1"].rows()
    assert {point.get("step_origin") for point in place.receiver.points("r1")} == {"unknown"}
    assert place.receiver.run_facts("r1")["state"] == "finished"
