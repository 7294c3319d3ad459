"""Many senders at once: bounded memory, and no other refusal than 503 with Retry-After.

With LENS_FULL=1 there are a thousand, as many as a cluster's worth of jobs; else a hundred.
"""

import os
import re
import resource
import uuid
from pathlib import Path

import pytest
from loading import load, request
from serving import NO_SELF_METRICS, run

FULL = bool(os.environ.get("LENS_FULL"))
SENDERS = 1_000 if FULL else 60
LITTLE_ROOM = "{}" if FULL else "{pending_bytes: 10000000}"  # a thousand fill the default, too
METRICS = 100  # of a step
MOST_MIB = 300  # of the server's own process at its peak


def peak_mib(pid):
    """The largest resident set a process ever had."""
    told = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(told.group(1)) / 1024


@pytest.fixture(autouse=True)
def _many_files():
    """Sockets for all of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.timeout(500)
@pytest.mark.parametrize(
    "limits, steps, each",
    [("{}", 1, 5), (LITTLE_ROOM, 50, 1)],
    ids=["100 points a report", "5,000 points a report"],
)
def test_many_senders_are_stored_or_told_when_to_come(
    make_server, database_dsn, limits, steps, each
):
    """All that all send at once is stored in the end, within the memory that is allowed."""
    running = make_server(
        f"{NO_SELF_METRICS}database: {{dsn: '{database_dsn}'}}\nlimits: {limits}\n"
    ).start()
    workloads = [uuid.uuid4().hex[:12] for _ in range(SENDERS)]
    requests = [
        [request(workload, n, steps=steps, metrics=METRICS) for n in range(each)]
        for workload in workloads
    ]
    statuses, _ = run(load(running.port, requests))
    print(dict(statuses), f"peak {peak_mib(running.process.pid):.0f} MiB")
    refused = statuses.pop("503 with Retry-After", 0)
    assert statuses == {"200": SENDERS * each}
    assert bool(refused) == (steps > 1)
    assert peak_mib(running.process.pid) <= MOST_MIB
    for workload in workloads[:: SENDERS // 20]:
        told = running.get(f"/workloads/{workload}/metrics/available").json()["metrics"]
        assert {one["count"] for one in told} == {steps * each}
