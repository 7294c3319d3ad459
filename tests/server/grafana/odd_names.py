"""A workload whose metrics have the names that trip clients up."""

import re

UID = "odd/names 1"
NAMES = ["train/loss", "eval/acc,top1", "lr (x1e-3)", "тест", "a|b", "{x}"]
STEPS = 6
BEGAN = 1704067200  # 2024-01-01


def report():
    """The body that reports it: at step s metric n is s + n, and NaN at step 3."""
    metrics = [
        {
            "name": name,
            "value": "NaN" if step == 3 else step + place,
            "step": step,
            "timestamp": BEGAN + step,
        }
        for step in range(STEPS)
        for place, name in enumerate(NAMES)
    ]
    run = {"name": "odd", "state": "finished", "started_at": BEGAN, "ended_at": BEGAN + 9}
    return {"workload_uid": UID, "run_id": "r1", "metrics": metrics, "run": run}


def escaped(name):
    """A name as Grafana's regular expression format gives it."""
    return re.sub(r"[\\^$*+?.()|\[\]{}/]", lambda found: f"\\{found[0]}", name)
