"""What is said about a run arrives as it stands after every change."""

import pytest


def test_summary_travels(job, receiver):
    """Numbers put into the summary arrive, infinities named, text left out."""
    job.run("""
import math, wandb
run = wandb.init(project="p", id="r1")
run.log({"loss": 1})
run.summary["best"] = 0.25
run.summary.update({"steps": 2**60, "far": -math.inf, "note": "fine", "eval": {"acc": 1}})
run.summary["vast"] = 10**400
run.finish()
""")
    assert receiver.run_facts()["summary"] == {
        "best": 0.25,
        "steps": 2**60,
        "far": "-Infinity",
        "eval.acc": 1,
        "vast": "Infinity",
    }


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_config_travels_by_its_allow_list(job, receiver, mode):
    """Known settings arrive with their nesting, others leave no trace, in every mode."""
    job.env["WANDB_MODE"] = mode
    job.run("""
import wandb
run = wandb.init(project="p", id="r1",
                 config={"lr": 0.1, "model": {"num_layers": 4, "owner": "me"}, "shop": "x"})
wandb.log({"loss": 1})
run.finish()
""")
    assert receiver.run_facts()["config"] == {"lr": 0.1, "model": {"num_layers": 4}}


def test_config_changes_are_followed(job, receiver):
    """Later settings replace earlier ones; the others stay."""
    job.run("""
import wandb
run = wandb.init(project="p", id="r1", config={"lr": 0.1, "seed": 7})
run.config.update({"lr": 0.2, "epochs": 3}, allow_val_change=True)
run.log({"loss": 1})
run.finish()
""")
    assert receiver.run_facts()["config"] == {"lr": 0.2, "seed": 7, "epochs": 3}
