"""A workload with two runs to read, and the command as a process."""

import subprocess
import sys

import pytest

from primus_lens.client import Client

AT = 1_700_000_000.5


@pytest.fixture
def lens(server):
    """A client of the session's server."""
    with Client(server.url) as client:
        yield client


@pytest.fixture
def two_runs(server, workload):
    """Run `one` with a loss of 0, NaN, 2 and a big integer; run `two` with a loss at step 1."""
    big = {"name": "big", "value": 2**53 + 1, "step": 0, "timestamp": AT}
    losses = [
        {"name": "loss", "value": value, "step": step, "timestamp": AT + step}
        for step, value in enumerate([0.0, "NaN", 2.0])
    ]
    other = {"name": "loss", "value": "-Infinity", "step": 1, "timestamp": AT + 10}
    for run_id, metrics in (("one", [*losses, big]), ("two", [other])):
        report = {"workload_uid": workload, "run_id": run_id, "metrics": metrics}
        assert server.post("/wandb/metrics", report).status_code == 200
    return workload


@pytest.fixture
def lens_command(server):
    """Runs `primus-lens` in a process of its own, to its end."""

    def command(*words, url=server.url, text=True):
        return subprocess.run(
            [sys.executable, "-m", "primus_lens", *words, "--url", url],
            capture_output=True,
            text=text,
            check=False,
            timeout=60,
        )

    return command
