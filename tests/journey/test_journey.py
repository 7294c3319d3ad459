"""A point's whole way: a real wandb process, the exporter, the server, PostgreSQL, the API."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import oracle
import pytest
import train_twice
from test_same_rows_as_wandb import SCENARIOS

pytestmark = [pytest.mark.wandb, pytest.mark.server]

EACH_SCENARIO_A_RUN = """
import json, math, os, sys, threading
import wandb
for number, scenario in enumerate(json.load(sys.stdin)):
    run = wandb.init(project="p", id=f"r{number}")
    exec(scenario, {"wandb": wandb, "run": run, "threading": threading, "math": math})
    run.finish()
"""


def environment(server, workload, home, **more):
    """A training container's environment."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
        "WANDB_DIR": str(home),
        "WANDB_ERROR_REPORTING": "false",
        "WORKLOAD_UID": workload,
        "POD_NAME": f"{workload}-0",
        "PRIMUS_LENS_API_BASE_URL": f"{server.url}/api/v1",
        "PRIMUS_LENS_WANDB_SPOOL_DIR": str(home / "spool"),
        **more,
    }


def train(code, environ, stdin=""):
    """Run a training script to its end; it must end well."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env=environ, input=stdin, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def drain(environ):
    """Deliver what dead processes have left."""
    command = [sys.executable, "-m", "primus_lens_wandb_exporter", "drain"]
    subprocess.run(command, env=environ, check=True, capture_output=True)


def recorded(home, run_id):
    """The rows of wandb's own offline file of a run."""
    [path] = Path(home).glob(f"wandb/offline-run-*-{run_id}/run-{run_id}.wandb")
    return oracle.rows(path)


def curves(server, workload, run_id):
    """What the API says of a run: step to name to value."""
    path = f"/workloads/{workload}/metrics/data"
    rows = {}
    for series in server.get(path, format="columns").json()["series"]:
        if series["run_id"] == run_id:
            for step, value in zip(series["step"], series["value"], strict=True):
                rows.setdefault(step, {})[series["metric"]] = value
    return rows


def as_drawn(rows):
    """The rows as curves hold them: every number a float64."""
    return {
        step: {name: v if isinstance(v, str) else float(v) for name, v in row.items()}
        for step, row in rows.items()
    }


def test_api_returns_what_wandb_recorded(server, workload, tmp_path):
    """Every way of logging: the API's points are those of wandb's own file, run by run."""
    train(
        EACH_SCENARIO_A_RUN,
        environment(server, workload, tmp_path),
        json.dumps(list(SCENARIOS.values())),
    )
    for number, name in enumerate(SCENARIOS):
        of_wandb = as_drawn(recorded(tmp_path, f"r{number}"))
        assert curves(server, workload, f"r{number}") == of_wandb, name
        assert of_wandb, name


def test_large_integers_survive_the_whole_way(server, workload, tmp_path):
    """Beyond 2^53 every digit is still there when the API answers."""
    train(
        "import wandb\nrun = wandb.init(id='r')\nrun.log({'a': 2**53 + 1, 'b': -2**62 - 3})",
        environment(server, workload, tmp_path),
    )
    assert server.points(workload) == {("a", 0): 2**53 + 1, ("b", 0): -(2**62) - 3}


def test_two_processes_of_a_workload_are_two_runs(server, workload, tmp_path):
    """Ranks of one job share the workload and keep their curves apart."""
    code = "import os, wandb\nwandb.init(id=f'rank{os.environ[\"RANK\"]}').log({'loss': 1})"
    for rank in "01":
        train(code, environment(server, workload, tmp_path, RANK=rank, WORLD_SIZE="2"))
    runs = server.get(f"/workloads/{workload}").json()["runs"]
    assert [(run["run_id"], run["rank"], run["world_size"]) for run in runs] == [
        ("rank0", 0, 2),
        ("rank1", 1, 2),
    ]


def test_demo_shows_a_crash_its_restart_and_a_nan(server, monkeypatch, tmp_path):
    """The demo's two attempts are one run of 600 steps; what the restart overwrote is history."""
    monkeypatch.setenv("PRIMUS_LENS_WANDB_SPOOL_DIR", str(tmp_path / "spool"))
    workload = train_twice.train(f"{server.url}/api/v1")

    [run] = server.get(f"/workloads/{workload}").json()["runs"]
    assert (run["state"], run["exit_code"], run["name"]) == ("finished", 0, "spirals-mlp")
    points = server.points(workload)
    assert {step for name, step in points if name == "train/loss"} == set(range(600))
    assert points["train/grad_norm", 150] == "NaN"
    assert len([step for name, step in points if name == "eval/loss"]) == 30
    overwritten = server.sql(
        "SELECT count(*) FROM training_performance "
        "WHERE workload_uid = $1 AND performance ? 'history'",
        workload,
    )
    assert overwritten[0][0] == train_twice.CRASH_AT - 200


STEADY = """
import sys, time, wandb
run = wandb.init(id="r")
for step in range(400):
    run.log({"loss": 1 / (step + 1)}, step=step)
    if step in (100, 300):
        print(step, flush=True)
        sys.stdin.readline()
run.finish()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_server_may_go_and_come_back(make_server, workload, tmp_path, number):
    """A server away during training: the job neither fails nor waits, and no point is lost."""
    server = make_server().start()
    job = subprocess.Popen(
        [sys.executable, "-c", STEADY],
        env=environment(server, workload, tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert job.stdout.readline() == "100\n"
    server.stop(number)
    job.stdin.write("\n")
    job.stdin.flush()
    assert job.stdout.readline() == "300\n"  # reached while nobody listens
    server.start()
    job.communicate("\n")
    assert job.returncode == 0

    # What the exit's bound left in the spool is delivered by the next start on the same directory.
    drain(environment(server, workload, tmp_path))
    assert server.points(workload) == {("loss", step): 1 / (step + 1) for step in range(400)}


DELETED_MEANWHILE = """
import sys, wandb
run = wandb.init(project="p", id="r", name="long", group="g", config={"lr": 0.5})
run.define_metric("val/*", step_metric="epoch", hidden=True)
for step in range(30):
    run.log({"loss": step})
    if step == 19:
        print(step, flush=True)
        sys.stdin.readline()
run.finish()
"""


@pytest.mark.parametrize("goes_on", [True, False], ids=["logs on", "only ends"])
def test_run_that_goes_on_after_its_workload_was_deleted_keeps_its_name(
    server, workload, tmp_path, goes_on
):
    """Name, config, definitions and state are told anew, whatever comes first afterwards."""
    logged = 30 if goes_on else 20
    code = DELETED_MEANWHILE.replace("range(30)", f"range({logged})")
    job = subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment(server, workload, tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert job.stdout.readline() == "19\n"
    while len(server.points(workload)) < 20:  # the suite's time limit bounds the wait
        pass
    deleted = httpx.delete(f"{server.url}/api/v1/workloads/{workload}").json()["deleted"]
    assert (deleted["steps"], deleted["runs"]) == (20, 1)
    job.communicate("\n", timeout=60)
    assert job.returncode == 0

    known = server.get(f"/workloads/{workload}").json()
    [run] = known["runs"]
    assert (run["name"], run["group"], run["state"]) == ("long", "g", "finished")
    assert run["config"] == {"lr": 0.5}
    assert run["definitions"]["val/*"]["step_metric"] == "epoch"
    assert known["detection"] is not None
    assert server.points(workload) == {("loss", step): step for step in range(20, logged)}
    assert len(server.sql("SELECT FROM run_stream WHERE workload_uid = $1", workload)) == 1


TOLD = """
import os, sys, wandb
run = wandb.init(project="p", id=sys.argv[1], group="g", job_type="train", tags=["a"])
run.define_metric("val/*", step_metric="epoch", hidden=True)
run.log({"epoch": 1, "val/loss": 0.5})
run.summary["best"] = 0.25
if sys.argv[1] == "killed":
    os.kill(os.getpid(), 9)
run.finish(exit_code=3 if sys.argv[1] == "bad" else 0)
"""


def test_the_server_knows_what_became_of_a_run(server, workload, tmp_path):
    """Finished, failed with its exit code, or crashed; what wandb was told of the run beside it."""
    environ = environment(server, workload, tmp_path)
    for run_id in ("killed", "good", "bad"):
        command = [sys.executable, "-c", TOLD, run_id]
        done = subprocess.run(command, env=environ, check=False, capture_output=True)
        assert b"Traceback" not in done.stderr, done.stderr
    drain(environ)
    runs = {run["run_id"]: run for run in server.get(f"/workloads/{workload}").json()["runs"]}
    states = {name: (run["state"], run["exit_code"]) for name, run in runs.items()}
    assert states == {"good": ("finished", 0), "bad": ("failed", 3), "killed": ("crashed", None)}
    for run in runs.values():
        assert (run["group"], run["job_type"], run["tags"]) == ("g", "train", ["a"])
        assert run["definitions"]["val/*"]["step_metric"] == "epoch"
        assert run["definitions"]["val/*"]["hidden"] is True
        assert curves(server, workload, run["run_id"]) == {0: {"epoch": 1.0, "val/loss": 0.5}}
    assert runs["good"]["summary"] == {"best": 0.25}
