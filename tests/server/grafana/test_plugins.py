"""What the plug-ins' own code sent, recorded, and that it is answered as they need it.

recorded.json holds every request that SimpleJson 1.4.3 and simPod's JSON API 0.6.5 made when their
sources were run against this server, for one name and for several, on each base they may be given.
"""

import json
from pathlib import Path

import httpx
import pytest
from odd_names import BEGAN, NAMES, STEPS, UID, escaped

RECORDED = json.loads(Path(__file__).with_name("recorded.json").read_text())
REQUESTS = [pytest.param(each, id=f"{n}-{each['path'][8:40]}") for n, each in enumerate(RECORDED)]
COLUMNS = ["Time", "Metric", "Value", "Step", "Run", "Source", "Workload"]


MEANT = {escaped(name): [name] for name in NAMES}
MEANT[f"({'|'.join(MEANT)})"] = NAMES


def value(name, step):
    """What the workload logged, as JSON can say it."""
    return None if step == 3 else NAMES.index(name) + step


def series(name):
    """The datapoints of a metric."""
    return [[value(name, step), (BEGAN + step) * 1000] for step in range(STEPS)]


def query(body, answer):
    """Series in the order asked for; tables in order of time."""
    [target] = [each for each in body["targets"] if not each.get("hide")]
    names = MEANT[target["target"]]
    shape = target.get("payload", {}).get("format") or target.get("type", "timeserie")
    if shape == "timeserie":
        assert [(each["target"], each["datapoints"]) for each in answer] == [
            (name, series(name)) for name in names
        ]
        return
    [table] = answer
    assert table["type"] == "table"
    if shape == "wide":
        assert [column["text"] for column in table["columns"]] == ["Time", *names]
        assert table["rows"] == [
            [(BEGAN + step) * 1000, *(value(name, step) for name in names)] for step in range(STEPS)
        ]
        return
    assert [column["text"] for column in table["columns"]] == COLUMNS
    assert table["rows"] == [
        [(BEGAN + step) * 1000, name, value(name, step), step, "r1", "wandb", UID]
        for step in range(STEPS)
        for name in names
    ]


def chosen(body, values):
    """Lists to choose from: all of this workload, or at least what is its."""
    text = body.get("target", body.get("payload", {}).get("target", ""))
    if text == "workloads()":
        assert UID in values
    elif text.startswith("metrics("):
        assert values == sorted(NAMES)
    else:
        assert set(NAMES) <= set(values)


def search(body, answer):
    """Names, or text and value."""
    chosen(body, [each["value"] if isinstance(each, dict) else each for each in answer])


def variable(body, answer):
    """__text and __value."""
    chosen(body, [each["__value"] for each in answer])


def metrics(_, answer):
    """Each metric with what narrows it."""
    assert set(NAMES) <= {each["value"] for each in answer}
    assert {each["payloads"][-1]["name"] for each in answer} == {"format"}


def payload_options(_, answer):
    """The data sources there are."""
    assert {"label": "wandb", "value": "wandb"} in answer


def annotations(body, answer):
    """The annotation as it came, in order of time."""
    assert [(each["time"], each["title"]) for each in answer if UID in each["tags"]] == [
        (BEGAN * 1000, "odd started"),
        ((BEGAN + 9) * 1000, "odd finished"),
    ]
    assert all(each["annotation"] == body["annotation"] for each in answer)


def tag_keys(_, answer):
    """What a filter may name."""
    assert {"type": "string", "text": "run_id"} in answer


def tag_values(body, answer):
    """The values of a key."""
    expected = {"workload_uid": UID, "data_source": "wandb"}[body["key"]]
    assert {"text": expected} in answer


CHECKS = {
    "query": query,
    "search": search,
    "variable": variable,
    "metrics": metrics,
    "metric-payload-options": payload_options,
    "annotations": annotations,
    "tag-keys": tag_keys,
    "tag-values": tag_values,
}


@pytest.mark.parametrize("request_", REQUESTS)
def test_recorded_request_is_answered(odd_server, request_):
    """What a plug-in sent gets 200, never a redirect, and the shape, values and order it reads."""
    answer = httpx.request(
        request_["method"],
        odd_server.url + request_["path"],
        json=request_["body"],
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    if request_["method"] == "POST":
        CHECKS[request_["path"].rpartition("/")[2]](request_["body"] or {}, answer.json())
