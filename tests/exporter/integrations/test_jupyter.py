"""A notebook: a real IPython kernel whose cells open, log to and finish runs."""

import json
import subprocess

import oracle
import pytest

pytestmark = pytest.mark.timeout(300)

# Runs in the environment of the frameworks, which has the client: a line of JSON in is a cell, a
# line of JSON out is what the cell showed; at the end of the input the kernel is shut down.
CLIENT = """
import json, sys
from jupyter_client.manager import start_new_kernel

manager, client = start_new_kernel(kernel_name="python3")
for line in sys.stdin:
    shown = []
    reply = client.execute_interactive(
        json.loads(line), timeout=120, allow_stdin=False,
        output_hook=lambda message: shown.append(message["content"].get("text", "")),
    )
    assert reply["content"]["status"] == "ok", reply["content"]
    print(json.dumps("".join(shown)), flush=True)
client.stop_channels()
manager.shutdown_kernel()
"""

OPEN = "import wandb; run = wandb.init(project='p', id='r1')"
LOG = "for i in range(20): wandb.log({'loss': 1 / (i + 1)})"


class Notebook:
    """One kernel in a job's folder."""

    def __init__(self, job):
        job.env.update(PRIMUS_LENS_WANDB_DEBUG="false", IPYTHONDIR=str(job.home / "ipython"))
        self._process = subprocess.Popen(
            [job.python, "-c", CLIENT],
            cwd=job.home,
            env=job.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *cells):
        """Run cells; returns the text they showed."""
        shown = []
        for cell in cells:
            self._process.stdin.write(json.dumps(cell) + "\n")
            self._process.stdin.flush()
            shown.append(json.loads(self._process.stdout.readline()))
        return shown

    def close(self):
        """Shut the kernel down; returns what it and its client wrote to stderr."""
        _, errors = self._process.communicate(timeout=60)
        assert self._process.returncode == 0, errors
        return errors


def test_points_of_a_notebook_arrive(job, receiver):
    """Rows logged in cells arrive as wandb wrote them, and the end of the run with them."""
    notebook = Notebook(job)
    notebook.run(OPEN, LOG, "run.log({'late': 1}, step=40)", "run.finish()")
    receiver.wait_for(lambda r: r.run_facts("r1").get("state") == "finished")
    assert receiver.curves("r1") == oracle.rows(job.file("r1"))
    assert len(receiver.curves("r1")) == 21
    notebook.close()


def test_points_arrive_between_two_cells(job, receiver):
    """While the kernel waits for its next cell, what was logged is delivered."""
    notebook = Notebook(job)
    notebook.run(OPEN, LOG)
    receiver.wait_for(lambda r: len(r.curves("r1")) == 20)
    assert receiver.run_facts("r1")["state"] == "running"
    notebook.run("run.finish()")
    notebook.close()


def test_two_runs_of_one_kernel_stay_apart(job, receiver):
    """A second wandb.init in the same kernel is a run of its own, its steps from 0."""
    notebook = Notebook(job)
    notebook.run(OPEN, LOG, OPEN.replace("r1", "r2"), LOG, "run.finish()")
    notebook.close()
    for run_id in ("r1", "r2"):
        assert receiver.curves(run_id) == oracle.rows(job.file(run_id))
        assert len(receiver.curves(run_id)) == 20


def test_a_kernel_shut_down_before_the_run_is_finished_loses_nothing(job, receiver):
    """A notebook that is closed without run.finish() delivers every row."""
    notebook = Notebook(job)
    notebook.run(OPEN, LOG)
    notebook.close()
    assert receiver.curves("r1") == {i: {"loss": 1 / (i + 1)} for i in range(20)}


def test_nothing_of_ours_is_shown(job, receiver):
    """Cells and the kernel's stderr show what they show without us."""
    cells = (OPEN, LOG, "run.finish()", "print('done')")
    with_us = Notebook(job)
    shown = [with_us.run(*cells), with_us.close()]
    assert receiver.points("r1")
    job.env["PRIMUS_LENS_WANDB_HOOK"] = "false"
    without_us = Notebook(job)
    assert shown == [without_us.run(*cells), without_us.close()]
    assert "done\n" in shown[0]
