"""A job and a server that asks for a token: real wandb, the exporter, the server, PostgreSQL."""

import subprocess
import sys

import httpx
import pytest
from job import Job

pytestmark = [pytest.mark.wandb, pytest.mark.server]

TRAIN = """
import wandb
run = wandb.init(project="p", id="r", config={"lr": 0.1})
for step in range(50):
    run.log({"loss": 1 / (step + 1)})
run.finish()
"""
DRAIN = ("-m", "primus_lens_wandb_exporter", "drain")
EVERYTHING = """
SELECT string_agg(stored, ' ') FROM (
    SELECT t::text AS stored FROM training_performance AS t WHERE workload_uid = $1
    UNION ALL SELECT t::text FROM training_run AS t WHERE workload_uid = $1
    UNION ALL SELECT t::text FROM framework_detection AS t WHERE workload_uid = $1
) AS rows
"""


@pytest.fixture
def run(guarded_server, workload, tmp_path):
    """Run Python as a job of that server with a token; what it says is returned."""

    def started(token, *words):
        environ = Job(tmp_path, f"{guarded_server.url}/api/v1").env
        environ |= {"PRIMUS_LENS_API_TOKEN": token, "WORKLOAD_UID": workload}
        done = subprocess.run(
            [sys.executable, *words], env=environ, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    return started


@pytest.fixture
def steps(guarded_server, make_token, workload):
    """The steps of the workload's loss that a reader sees."""

    def read():
        answer = httpx.get(
            f"{guarded_server.url}/api/v1/workloads/{workload}/metrics/data",
            headers={"Authorization": f"Bearer {make_token('read')}"},
        )
        return [row["iteration"] for row in answer.json()["data"] if row["metric_name"] == "loss"]

    return read


def test_job_with_a_token_reports(run, steps, make_token, guarded_server, workload):
    """A job with a token of scope ingest reports all it logs, and its token stays its own."""
    token = make_token("ingest")
    status, said = run(token, "-c", TRAIN)
    assert status == 0, said
    assert steps() == list(range(50))
    secret = token.split("_")[2]
    stored = guarded_server.sql(EVERYTHING, workload)[0][0]
    assert "wandb" in stored
    for place in (said, stored, guarded_server.log.read_text()):
        assert secret not in place


def test_job_with_a_wrong_token_loses_nothing(run, steps, make_token):
    """Rows that no token let in wait in the spool; one that works lets them in later."""
    status, said = run(make_token("read"), "-c", TRAIN)
    assert status == 0, said
    assert steps() == []
    status, said = run(make_token("ingest"), *DRAIN)
    assert status == 0, said
    assert steps() == list(range(50))
