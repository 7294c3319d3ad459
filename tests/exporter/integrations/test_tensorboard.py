"""sync_tensorboard=True: wandb's service makes the rows; what it wrote arrives all the same."""

import oracle
import pytest

pytestmark = pytest.mark.timeout(300)

WRITERS = {
    "tensorboardX": "from tensorboardX import SummaryWriter",
    "torch": "from torch.utils.tensorboard import SummaryWriter",
}

TRAIN = """
import numpy as np
writer = SummaryWriter("events")
for i in range(200):
    writer.add_scalar("loss", 1 / (i + 1), i)
    writer.add_scalar("nested/accuracy", i / 200, i)
    if i % 50 == 0: writer.add_histogram("weights", np.arange(10), i)
    if i == 100: wandb.log({"mine": 5, "flag": True})
writer.add_scalars("group", {"a": 1, "b": float("nan")}, 200)
writer.add_text("text", "no number", 200)
writer.close()
"""

OPEN = """
import wandb
run = wandb.init(project="p", id="r1", sync_tensorboard=True)
wandb.log({"before": 1})
wandb.log({"before": 2, "pending": 3}, commit=False)
"""


def assert_all_arrived(job, receiver, least=200):
    """Compare every point with wandb's file."""
    curves = receiver.curves("r1")
    assert curves == oracle.rows(job.file("r1"))
    names = {name for row in curves.values() for name in row}
    assert {"before", "loss", "nested/accuracy", "global_step"} <= names
    assert len(curves) >= least


@pytest.mark.parametrize("writer", WRITERS)
def test_rows_of_the_service_arrive(job, receiver, writer):
    """Rows wandb's service reads from event files arrive with its steps, among logged ones."""
    job.run(f"{OPEN}{WRITERS[writer]}\n{TRAIN}\nwandb.log({{'after': 1}})\nrun.finish()\n")
    assert_all_arrived(job, receiver)
    assert receiver.run_facts("r1")["state"] == "finished"


def test_rows_arrive_when_the_run_is_not_finished_by_name(job, receiver):
    """A job that just ends, with an error, still sends what its .wandb file holds, and its end."""
    job.run(f"{OPEN}{WRITERS['tensorboardX']}\n{TRAIN}\nsys_exit = 1 / 0\n", code_expected=1)
    assert_all_arrived(job, receiver)
    assert receiver.run_facts("r1")["state"] == "failed"


def test_rows_arrive_while_the_job_runs(job, receiver):
    """What wandb has written of a long run arrives before the run ends."""
    process = job.start(
        f"{OPEN}{WRITERS['tensorboardX']}\n"
        "writer = SummaryWriter('events')\n"
        "for i in range(5000): writer.add_scalar('loss', i, i)\n"
        "writer.flush()\nprint('written', flush=True)\ninput()\nwriter.close()\n"
    )
    assert process.stdout.readline() == "written\n"
    receiver.wait_for(lambda r: len(r.curves("r1")) > 1000, 60)
    process.communicate("\n", timeout=100)
    assert process.returncode == 0
    assert receiver.curves("r1") == oracle.rows(job.file("r1"))


def test_a_second_run_is_logged_as_ever(job, receiver):
    """After a run with TensorBoard another one without it loses nothing either."""
    job.run(
        f"{OPEN}{WRITERS['tensorboardX']}\n{TRAIN}\nrun.finish()\n"
        "wandb.tensorboard.unpatch()\n"
        "with wandb.init(project='p', id='r2') as run:\n"
        "    for i in range(20): run.log({'a': i}, step=i * 2)\n"
    )
    assert_all_arrived(job, receiver)
    assert (
        receiver.curves("r2") == oracle.rows(job.file("r2")) == {i * 2: {"a": i} for i in range(20)}
    )
