"""Every example message of protocol/v1 gets the answer written beside it."""

import json
from pathlib import Path

import httpx
import pytest

EXAMPLES = sorted(Path(__file__).parents[3].glob("protocol/v1/examples/*/*.json"))


def holds(expected: object, got: object) -> bool:
    """Whether everything expected is in what was got; dicts may hold more."""
    if isinstance(expected, dict):
        return isinstance(got, dict) and all(
            name in got and holds(value, got[name]) for name, value in expected.items()
        )
    return expected == got


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_example_is_answered_as_written(server, path):
    """Status, answer, sentence and field at fault are those the example expects."""
    example = json.loads(path.read_text())
    body = example["body_text"] if "body_text" in example else json.dumps(example["body"])
    headers = {"Content-Type": "application/json", **example.get("headers", {})}
    answer = httpx.post(server.url + example["path"], content=body.encode(), headers=headers)

    expected = example["expect"]
    got = answer.json()
    assert answer.status_code == expected["status"], got
    assert holds(expected.get("answer", {}), got)
    assert expected.get("error", "") in got.get("error", "")
    if "field" in expected:
        assert got["detail"][0]["field"] == expected["field"]


def test_there_are_examples_of_both_kinds():
    """The folder was found, with good and bad messages in it."""
    assert {path.parent.name for path in EXAMPLES} == {"good", "bad"}
    assert len(EXAMPLES) > 30
