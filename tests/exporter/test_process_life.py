"""However a process ends or multiplies, every row wandb.log returned from reaches the server."""

import signal
import subprocess
import sys

import oracle
import pytest
from receiver import Once, accept, refuse

DOWN = refuse(503)

TRAIN = """
import os, sys, signal, threading, time
import wandb
run = wandb.init(project="p", id="r1")
for i in range(300):
    wandb.log({"i": i, "j": -i})
print("logged", flush=True)
"""


def drain(job):
    """Deliver what is left; returns what the command printed."""
    done = subprocess.run(
        [sys.executable, "-m", "primus_lens_wandb_exporter", "drain", "--timeout", "30"],
        env=job.env,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "[primus-lens]" not in done.stderr, done.stderr
    return done.stdout


def sent(receiver, run_id="r1"):
    """Return each accepted (name, step, value), sorted."""
    return sorted((p["name"], p["step"], p["value"]) for p in receiver.points(run_id))


def expected(rows=300):
    """Return what TRAIN logs."""
    return sorted([("i", i, i) for i in range(rows)] + [("j", i, -i) for i in range(rows)])


DEATHS = {
    "SIGKILL": "os.kill(os.getpid(), signal.SIGKILL)",
    "SIGTERM": "os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)",
    "os._exit": "os._exit(0)",
    "abort": "os.abort()",
    "segmentation fault": "import ctypes; ctypes.string_at(0)",
}


@pytest.mark.parametrize("death", DEATHS)
def test_nothing_logged_before_a_sudden_death_is_lost(job, receiver, death):
    """Rows a dead process could not deliver wait in its spool, whole, and drain delivers them."""
    receiver.answer = DOWN
    job.start(TRAIN + DEATHS[death]).communicate(timeout=60)
    receiver.answer = Once()  # its last request may be looked at only now
    assert "delivered" in drain(job)
    assert sent(receiver) == expected()
    assert receiver.run_facts()["state"] == "crashed"
    assert job.streams() == []


def test_next_start_delivers_what_a_dead_process_left(job, receiver):
    """Another job on the same spool folder takes a dead process's stream over."""
    receiver.answer = DOWN
    job.start(TRAIN + DEATHS["SIGKILL"]).communicate(timeout=60)
    receiver.answer = accept
    process = job.start("""
import sys, wandb
run = wandb.init(project="p", id="r2")
sys.stdin.readline()
run.finish()
""")
    receiver.wait_for(lambda r: r.run_facts("r1").get("state") == "crashed")
    assert sent(receiver) == expected()
    process.communicate("go\n", timeout=60)
    assert receiver.run_facts("r2")["state"] == "finished"


def test_normal_exit_delivers_everything(job, receiver):
    """Without finish, exit ends the run, sends all of it and leaves no file behind."""
    job.run(TRAIN)
    assert sent(receiver) == expected()
    facts = receiver.run_facts()
    assert (facts["state"], facts["exit_code"]) == ("finished", 0)
    assert job.streams() == []


ENDINGS = {
    "sys.exit(3)": ("sys.exit(3)", 3),
    "an exception": ("raise RuntimeError('boom')", 1),
    "an exception in a thread": (
        "t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()",
        0,
    ),
    "SIGINT": ("os.kill(os.getpid(), signal.SIGINT); time.sleep(30)", -signal.SIGINT),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_exit_code_and_state_are_those_of_the_job(job, receiver, ending):
    """The exit status stays the job's own, and the run's state follows wandb's exit code."""
    code, status = ENDINGS[ending]
    process = job.start(TRAIN + code)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    assert sent(receiver) == expected()
    facts = receiver.run_facts()
    assert facts["state"] == ("failed" if facts["exit_code"] else "finished")
    assert (facts["exit_code"] == 0) == (status == 0)


def test_traceback_of_the_job_is_untouched(job, receiver):
    """An error the job makes wandb.log raise is the user's own, without a frame of ours in it."""
    process = job.start("import wandb\nwandb.init(project='p')\nwandb.log(5)\n")
    _, err = process.communicate(timeout=60)
    assert "must be passed a dictionary" in err
    assert "primus_lens" not in err
    assert receiver.points() == []


def test_a_server_that_never_answers_does_not_hold_the_exit(job, receiver):
    """The process ends while its request still hangs, and what it had is delivered later."""
    receiver.answer = lambda _request: "stall"
    job.run(TRAIN + "run.finish()\n", quiet=False)
    receiver.answer = accept
    receiver.release.set()
    drain(job)
    assert sent(receiver) == expected()
    assert receiver.run_facts()["state"] == "finished"


def test_unreachable_server_is_silent(job, receiver):
    """With nobody listening the job prints nothing of ours and its rows stay on disk."""
    job.env["PRIMUS_LENS_API_BASE_URL"] = "http://127.0.0.1:9/api/v1"
    del job.env["PRIMUS_LENS_WANDB_DEBUG"]
    assert job.run(TRAIN) == "logged\n"
    assert len(job.streams()) == 1
    job.env["PRIMUS_LENS_API_BASE_URL"] = receiver.url
    drain(job)
    assert sent(receiver) == expected()


FORKED = (
    TRAIN
    + """
pid = os.fork()
if pid == 0:
    CHILD
    os._exit(0)
os.waitpid(pid, 0)
for i in range(300, 310):
    wandb.log({"i": i, "j": -i})
run.finish()
"""
)


def test_a_silent_forked_child_changes_nothing(job, receiver):
    """A child that never logs has no stream, and the parent goes on as before."""
    job.run(FORKED.replace("CHILD", "pass"))
    assert sent(receiver) == expected(310)
    assert len({request.stream for request in receiver.metrics()}) == 1


def test_rows_of_a_forked_child_are_kept_and_flagged(job, receiver):
    """A child's rows are delivered under a stream of its own, their steps marked as a guess."""
    child = "wandb.log({'child': 7}); wandb.log({'sure': 8}, step=1000)"
    job.run(FORKED.replace("CHILD", child))
    assert job.streams() == []  # the parent has sent what its child could not before it died
    child = [p for p in receiver.points() if p["name"] in ("child", "sure")]
    assert [(p["name"], p.get("step_origin")) for p in child] == [
        ("child", "unknown"),
        ("sure", None),
    ]
    assert child[1]["step"] == 1000
    own = [p for p in receiver.points() if p["name"] in ("i", "j")]
    assert len(own) == 620
    assert {p.get("step_origin") for p in own} == {None}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_children_report_their_own_runs(job, receiver, method):
    """A run started in a multiprocessing child arrives like any other."""
    job.run(f"""
import multiprocessing, wandb
def work(name):
    with wandb.init(project="p", id=name) as run:
        for i in range(20): run.log({{"i": i}})
    wandb.teardown()  # waits for the file, which is read below
if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    children = [context.Process(target=work, args=(f"c{{n}}",)) for n in range(2)]
    [child.start() for child in children]
    [child.join() for child in children]
""")
    assert job.streams() == []
    for name in ("c0", "c1"):
        assert receiver.curves(name) == oracle.rows(job.file(name))
        assert receiver.run_facts(name)["state"] == "finished"


def test_facts_of_the_run_travel(job, receiver):
    """Name, project, group, job type, tags, ranks and start time arrive in `run`."""
    job.env.update(RANK="3", LOCAL_RANK="1", NODE_RANK="2", WORLD_SIZE="8", HOSTNAME="node-7")
    job.run("""
import wandb
run = wandb.init(project="p", id="r1", name="n", group="g", job_type="train", tags=["a", "b"],
                 config={"model": "m", "lr": 0.1})
wandb.config.update({"epochs": 3})
wandb.log({"a": 1})
run.finish(exit_code=4)
""")
    facts = receiver.run_facts()
    assert facts.pop("started_at") < facts.pop("ended_at")
    assert facts.pop("config")["lr"] == 0.1
    assert facts.pop("attempt") > 0
    assert facts == {
        "name": "n",
        "project": "p",
        "group": "g",
        "job_type": "train",
        "tags": ["a", "b"],
        "state": "failed",
        "exit_code": 4,
        "rank": 3,
        "local_rank": 1,
        "node_rank": 2,
        "world_size": 8,
        "hostname": facts["hostname"],
    }


def test_disabled_mode_is_reported_all_the_same(job, receiver):
    """A disabled run writes nothing, but its numbers reach Lens, numbered by the same rules."""
    job.env["WANDB_MODE"] = "disabled"
    job.run("""
import numpy as np, wandb
run = wandb.init(project="p", config={"lr": 0.5})
for i in range(3): wandb.log({"a": np.float32(i), "n": {"b": i}, "text": "x", "flag": True})
run.log({"c": float("nan")}, step=10)
wandb.log({"d": 1}, 10, True)
wandb.finish()
""")
    assert receiver.curves() == {
        0: {"a": 0.0, "n.b": 0},
        1: {"a": 1.0, "n.b": 1},
        2: {"a": 2.0, "n.b": 2},
        10: {"c": "NaN", "d": 1},
    }
    assert receiver.run_facts()["state"] == "finished"


@pytest.mark.parametrize("flag", ["-I", "-E", "-s", "-OO", "-B"])
def test_the_hook_works_under_python_flags(job, receiver, flag):
    """Isolated and optimised interpreters report as well."""
    job.run("import wandb\nwandb.init(project='p').log({'a': 1})\n", flag)
    assert receiver.curves() == {0: {"a": 1}}


def test_without_site_the_public_function_installs_the_hook(job, receiver):
    """Under -S nothing is armed; install_wandb_hook() before the import does it."""
    path = [p for p in sys.path if p]
    job.run(
        f"""
import sys
sys.path[:] = {path!r}
import primus_lens_wandb_exporter.wandb_hook as hook
hook.install_wandb_hook()
import wandb
assert wandb._primus_lens_patched
wandb.init(project="p").log({{"a": 1}})
""",
        "-S",
    )
    assert receiver.curves() == {0: {"a": 1}}


def test_installing_after_the_import_works_too(job, receiver):
    """install_wandb_hook() taps a wandb that is already imported, once."""
    job.env["PRIMUS_LENS_WANDB_HOOK"] = "true"
    job.run("""
import sys
sys.meta_path.remove(sys._primus_lens)
import wandb
assert not hasattr(wandb, "_primus_lens_patched")
from primus_lens_wandb_exporter import wandb_hook
wandb_hook.install_wandb_hook()
wandb_hook.install_wandb_hook()
wandb.init(project="p").log({"a": 1})
""")
    assert receiver.points()[0]["value"] == 1
    assert len(receiver.points()) == 1


def test_switched_off_means_untouched(job, receiver):
    """PRIMUS_LENS_WANDB_HOOK=false: wandb is not patched and nothing is sent."""
    job.env["PRIMUS_LENS_WANDB_HOOK"] = "false"
    job.run("""
import wandb
assert not hasattr(wandb, "_primus_lens_patched")
wandb.init(project="p").log({"a": 1})
""")
    assert receiver.requests == []


def test_looking_for_wandb_without_importing_it_keeps_the_watch(job, receiver):
    """find_spec("wandb"), as transformers asks, does not use the watch up."""
    job.run("""
import importlib.util
assert importlib.util.find_spec("wandb") is not None
import wandb
wandb.init(project="p").log({"a": 1})
""")
    assert receiver.curves() == {0: {"a": 1}}


def test_resources_and_reload_of_wandb_still_work(job, receiver):
    """The watch replaces one method of one loader, so the rest of import keeps working."""
    job.run("""
import importlib, importlib.resources, inspect
import wandb
assert importlib.resources.files("wandb").joinpath("__init__.py").is_file()
assert "wandb" in inspect.getsource(wandb)
importlib.reload(wandb)
wandb.init(project="p").log({"a": 1})
""")
    assert receiver.curves() == {0: {"a": 1}}


def test_no_descriptor_and_no_thread_is_left_behind(job):
    """After ten runs a process has as many descriptors and threads of ours as after one."""
    out = job.run("""
import os, threading, time, wandb
def count():
    ours = [t for t in threading.enumerate() if t.name.startswith("primus")]
    links = [os.path.realpath(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")]
    return len(ours), len([link for link in links if "primus-lens" in link])
for n in range(10):
    with wandb.init(project="p") as run: run.log({"a": 1})
from primus_lens_wandb_exporter import _process
sender, until = _process.start().sender, time.monotonic() + 30
while count() != (1, 0) and time.monotonic() < until: sender.wake(); time.sleep(0.01)
print(*count())
""")
    assert out.split() == ["1", "0"]
    assert list(job.spool.iterdir()) == []
