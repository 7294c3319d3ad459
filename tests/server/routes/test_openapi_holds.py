"""The OpenAPI document is true: Schemathesis asks each operation what it allows and forbids.

New routes are taken as they come. Left out are those whose answers never end.
"""

import json
import subprocess
import sys

import httpx
import pytest

EXAMPLES = 15  # an operation in the fuzzing phase; boundaries are all tried before

LEFT_OUT = (
    # What makes a report good goes beyond its schema: it names a workload or a pod, holds no NUL,
    # no number past float64, nothing nested deeper than 32. Refusing such is no fault.
    "positive_data_acceptance",
    # A name may hold slashes and a plug-in probes below its address, so what a path does not answer
    # by one method may well be answered by another as something else.
    "unsupported_method",
)


def endless(document):
    """The operations that stream for ever: a client that waits for their end waits for nothing."""
    return [
        operation["operationId"]
        for path, operations in document["paths"].items()
        for operation in operations.values()
        if path.endswith("/live")
        or "text/event-stream" in operation["responses"].get("200", {}).get("content", {})
    ]


@pytest.mark.timeout(240)
def test_every_operation_answers_as_documented(make_server, database_dsn, tmp_path):
    """Whatever is asked of an operation, its status, its headers and its body are as described."""
    config = f"metrics: {{prometheus: {{enabled: false}}}}\ndatabase: {{dsn: '{database_dsn}'}}\n"
    running = make_server(config).start()
    for step in range(20):  # Schemathesis likes the name "0"
        metrics = [{"name": "loss", "value": 1 / (step + 1), "step": step}]
        running.post("/wandb/metrics", {"workload_uid": "0", "run_id": "r", "metrics": metrics})
    address = f"{running.url}/openapi.json"
    document = httpx.get(address).json()
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", address, "--no-color"),
        *(
            "--checks=all",
            f"--exclude-checks={','.join(LEFT_OUT)}",
            "--phases=examples,coverage,fuzzing",
        ),
        *(f"--max-examples={EXAMPLES}", "--seed=1", "--generation-database=none"),
        # One worker: parsing source in two threads at once is an error of CPython 3.11.
        *("--suppress-health-check=all", "--request-timeout=30", "--workers=1"),
        *(f"--exclude-operation-id={name}" for name in endless(document)),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    assert json.dumps(httpx.get(address).json()) == json.dumps(document)  # and it still answers
    assert running.stop() == 0
    assert "Traceback" not in running.log.read_text()
