"""A workload's framework: read with its evidence, said by a person, taken back."""

import httpx
import pytest


def put(server, workload, **body):
    """Say what a workload runs."""
    url = f"{server.url}/api/v1/workloads/{workload}/detection"
    return httpx.put(url, json=body)


def report(server, workload, name="deepspeed", **more):
    """A detection report of one base framework in use."""
    evidence = {"base_frameworks": {name: {"detected": True, "initialized": True}}}
    body = {"workload_uid": workload, "evidence": evidence, **more}
    assert server.post("/wandb/detection", body).status_code == 200


def read(server, workload):
    """The workload's detection."""
    return server.get(f"/workloads/{workload}/detection").json()


def test_detection_is_read_with_what_each_source_showed(server, workload):
    """The merged word, and beside it the evidence of every source."""
    report(server, workload)
    found = read(server, workload)
    assert (found["framework"], found["status"], found["method"]) == (
        "deepspeed",
        "confirmed",
        "import",
    )
    shown = found["sources"]["wandb"]["evidence"]["base_frameworks"]
    assert shown == {"deepspeed": {"detected": True, "initialized": True}}


def test_word_of_a_person_outranks_every_report(server, workload):
    """What is said stays said, whatever is reported before and after; the conflict is listed."""
    report(server, workload)
    answer = put(server, workload, wrapper_framework="Lightning", base_framework="Megatron-LM")
    assert answer.status_code == 200
    report(server, workload, source="process", timestamp=9e9)
    found = read(server, workload)
    assert (found["wrapper_framework"], found["base_framework"]) == ("lightning", "megatron")
    assert (found["method"], found["confidence"]) == ("user", 1.0)
    assert {conflict["dropped"] for conflict in found["conflicts"]} == {"deepspeed"}


def test_report_cannot_pass_for_a_person(server, workload):
    """A sender that calls itself the user is refused: its word would outrank all others."""
    body = {"workload_uid": workload, "source": "user", "evidence": {}}
    answer = server.post("/wandb/detection", body)
    assert answer.status_code == 422
    assert 'source is "user"' in answer.json()["error"]


def test_withdrawn_word_lets_the_reports_decide_again(server, workload):
    """DELETE forgets the person's word and nothing else."""
    report(server, workload)
    put(server, workload, base_framework="jax")
    url = f"{server.url}/api/v1/workloads/{workload}/detection"
    assert httpx.delete(url).json()["framework"] == "deepspeed"


def test_withdrawn_word_without_reports_leaves_no_framework(server, workload):
    """Where nothing else speaks, nothing is claimed."""
    put(server, workload, base_framework="jax")
    url = f"{server.url}/api/v1/workloads/{workload}/detection"
    found = httpx.delete(url).json()
    assert (found["framework"], found["status"], found["confidence"]) == (None, "unknown", 0)


@pytest.mark.parametrize(
    "body, words",
    [
        ({}, "wrapper_framework is missing"),
        ({"wrapper_framework": "???"}, "wrapper_framework is missing"),
        ({"base_framework": 5}, "base_framework is 5; it must be a string"),
    ],
)
def test_word_must_name_a_framework(server, workload, body, words):
    """A person's mistake is told like a sender's."""
    answer = put(server, workload, **body)
    assert answer.status_code == 422
    assert words in answer.json()["error"]


def test_unknown_workload_has_no_detection(server, workload):
    """Nothing known is a 404."""
    assert server.get(f"/workloads/{workload}/detection").status_code == 404
