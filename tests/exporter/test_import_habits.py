"""Odd ways to look for, import and read wandb: all work as without us, and rows still arrive."""

import oracle
import pytest

LOG = """
run = wandb.init(project="p", id="r1")
for i in range(10): wandb.log({"a": i})
run.finish()
"""

HABITS = {
    "asked for before it is imported": """
import importlib.util
assert importlib.util.find_spec("wandb") is not None
assert importlib.util.find_spec("wandb") is not None
import wandb
""",
    "read as a package of files": """
import importlib.resources
text = importlib.resources.files("wandb").joinpath("__init__.py").read_text()
import wandb
assert importlib.resources.files("wandb").joinpath("__init__.py").read_text() == text
assert text in wandb.__loader__.get_source("wandb")
""",
    "reloaded": "import importlib, wandb; wandb = importlib.reload(wandb)",
    "imported by name": "import importlib; wandb = importlib.import_module('wandb')",
    "a submodule first": "import wandb.sdk.wandb_run; import wandb",
    "imported in a thread": """
import importlib, threading
threads = [threading.Thread(target=importlib.import_module, args=("wandb",)) for _ in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
import wandb
""",
}


@pytest.mark.parametrize("habit", HABITS)
def test_rows_arrive_however_wandb_is_imported(job, receiver, habit):
    """Whatever was done to get at wandb, each row of its file arrives, once."""
    job.run(HABITS[habit] + LOG)
    assert receiver.curves("r1") == oracle.rows(job.file("r1"))
    assert len(receiver.points("r1")) == 10
