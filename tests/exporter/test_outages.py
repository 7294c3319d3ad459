"""While a job runs: the server goes and comes back, frameworks load late, a run follows a run."""

import os

import oracle
import pytest
from receiver import Once, Receiver, refuse

# At its full size: PRIMUS_LENS_TEST_OUTAGE_S=60 pytest tests/exporter/test_outages.py
OUTAGE_S = float(os.environ.get("PRIMUS_LENS_TEST_OUTAGE_S", "2"))

THROUGH = """
import sys, time, wandb
run = wandb.init(project="p", id="r1")
step = 0
def log_until(end):
    global step
    while time.monotonic() < end:
        run.log({"i": step, "half": step / 2})
        step += 1
        time.sleep(0.005)
log_until(time.monotonic() + 0.5)
print("down", flush=True)
sys.stdin.readline()
log_until(time.monotonic() + %r)
print("up", flush=True)
sys.stdin.readline()
log_until(time.monotonic() + 0.5)
print(step, flush=True)
run.finish()
"""

OUTAGES = {
    "not there": None,
    "answers 503": refuse(503),
    "cuts": lambda _request: "cut",
}


@pytest.mark.timeout(OUTAGE_S + 120)
@pytest.mark.parametrize("outage", OUTAGES)
def test_an_outage_loses_nothing(job, receiver, outage):
    """A server away for a while: every row arrives by the end of the job, each once."""
    receiver.answer = once = Once()
    process = job.start(THROUGH % OUTAGE_S)
    assert process.stdout.readline() == "down\n"
    servers = [receiver]
    if OUTAGES[outage]:
        receiver.answer = OUTAGES[outage]
    else:
        receiver.close()
    process.stdin.write("go on\n")
    process.stdin.flush()
    assert process.stdout.readline() == "up\n"
    if OUTAGES[outage]:
        receiver.answer = once
    else:
        servers.append(Receiver(once, receiver.port))
    logged, _ = process.communicate("go on\n", timeout=60)
    for later in servers[1:]:
        later.close()
    assert process.returncode == 0
    points = [(p["name"], p["step"], p["value"]) for server in servers for p in server.points()]
    rows = range(int(logged))
    assert sorted(points) == sorted(
        [("i", n, n) for n in rows] + [("half", n, n / 2) for n in rows]
    )
    assert job.streams() == []


LATE = """
import sys, wandb
run = wandb.init(project="p", id="r1")
run.log({"a": 1})
print("logged", flush=True)
sys.stdin.readline()
import pytorch_lightning.trainer.trainer
run.log({"a": 2})
run.finish()
"""


def test_a_framework_that_loads_after_init_is_reported(job, receiver):
    """When more is loaded than at the first row, the evidence is gathered and sent again."""
    package = job.home / "pytorch_lightning" / "trainer"
    package.mkdir(parents=True)
    for path in (package.parent / "__init__.py", package / "__init__.py", package / "trainer.py"):
        path.write_text("")
    process = job.start(LATE)
    assert process.stdout.readline() == "logged\n"
    receiver.wait_for(lambda r: r.detections())
    _, err = process.communicate("go on\n", timeout=60)
    assert process.returncode == 0, err
    first, last = (receiver.detections()[n].body["hints"] for n in (0, -1))
    assert "lightning" not in first["wrapper_frameworks"]
    assert "lightning" in last["wrapper_frameworks"]
    assert last["confidence"] == "high"


AGAIN = """
import wandb
for number in range(2):
    run = wandb.init(project="p", id=f"r{number}", reinit=REINIT)
    for i in range(5): run.log({"a": i + 10 * number})
run.finish()
"""


@pytest.mark.parametrize("how", ["True", "'finish_previous'", "'create_new'"])
def test_a_second_init_starts_a_second_run(job, receiver, how):
    """However reinit is asked for, each run has the rows of its own file."""
    job.run(AGAIN.replace("REINIT", how))
    for number in range(2):
        assert receiver.curves(f"r{number}") == oracle.rows(job.file(f"r{number}"))
        assert len(receiver.curves(f"r{number}")) == 5


def test_reinit_may_go_on_with_the_first_run(job, receiver):
    """With return_previous the second init is the first run, and so are its rows."""
    job.run(AGAIN.replace("REINIT", "'return_previous'"))
    assert receiver.curves("r0") == oracle.rows(job.file("r0"))
    assert len(receiver.curves("r0")) == 10
    assert receiver.points("r1") == []
