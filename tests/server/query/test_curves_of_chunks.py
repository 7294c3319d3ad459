"""What a reader is told while the service packs what it stores."""

import time

STEPS = 400


def report(server, workload, steps):
    """A curve with a spike; one metric more at every tenth step."""
    metrics = [
        {"name": name, "value": 1e6 if step == 123 else step / 7, "step": step, "timestamp": 1e9}
        for step in steps
        for name in (["loss", "eval"] if step % 10 == 0 else ["loss"])
    ]
    body = {"workload_uid": workload, "run_id": "r", "metrics": metrics}
    assert server.post("/wandb/metrics", body).status_code == 200


def answers(server, workload):
    """Everything that is read through chunks."""
    path = f"/workloads/{workload}/metrics"
    return [
        server.get(f"{path}/data", format="columns").json(),
        server.get(f"{path}/data", format="columns", max_points=20, x="time").json(),
        server.get(f"{path}/data", format="columns", from_x=50, to_x=390).json(),
        server.get(f"{path}/available").json(),
        server.get(f"{path}/sources").json(),
    ]


def packed_within(server, workload, seconds):
    """Whether the workload has chunks that are up to date before that long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if server.sql(
            "SELECT FROM chunk_axis WHERE workload_uid = $1 AND built = version", workload
        ):
            return True
        time.sleep(0.1)  # between two looks
    return False


def test_service_packs_settled_steps_and_nobody_can_tell(server, workload):
    """Within seconds settled steps are in chunks; every answer stays what it was."""
    report(server, workload, range(STEPS))
    before = answers(server, workload)
    assert packed_within(server, workload, 60)
    assert answers(server, workload) == before
    [loss] = [each for each in before[0]["series"] if each["metric"] == "loss"]
    assert loss["step"] == list(range(STEPS))
    assert loss["value"][123] == 1e6


def test_spike_survives_thinning_of_what_is_packed(server, workload):
    """A one-step spike within a chunk is drawn."""
    report(server, workload, range(STEPS))
    assert packed_within(server, workload, 60)
    answer = server.get(f"/workloads/{workload}/metrics/data", format="columns", max_points=8)
    [_, loss] = answer.json()["series"]
    assert (loss["total"], loss["thinned"]) == (STEPS, True)
    assert 1e6 in loss["value"]
