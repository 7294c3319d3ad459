"""Whatever is sent, the answer is a 2xx or 4xx in words, never a 500."""

import copy
import json
from pathlib import Path

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = [
    json.loads(path.read_text())
    for path in sorted(Path(__file__).parents[3].glob("protocol/v1/examples/good/*.json"))
]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(10**400), max_value=10**400),
    st.floats(),
    st.text(),
    st.sampled_from(["", "NaN", "\x00", "\ud800", "x" * 300, -1, 2**63, 1e400, "1e400"]),
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def places(node, at=()):
    """Every path into a document."""
    yield at
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from places(value, (*at, key))


def with_value(document, at, value):
    """A copy of a document with another value at a path."""
    if not at:
        return value
    changed = copy.deepcopy(document)
    node = changed
    for key in at[:-1]:
        node = node[key]
    node[at[-1]] = value
    return changed


slow_is_fine = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@slow_is_fine
@given(data=st.data())
def test_spoilt_report_is_refused_in_words(server, data):
    """A good report with anything at all in one place is stored or refused, and says why."""
    example = data.draw(st.sampled_from(EXAMPLES), label="example")
    at = data.draw(st.sampled_from(list(places(example["body"]))), label="place")
    body = with_value(example["body"], at, data.draw(documents, label="value"))
    answer = httpx.post(
        server.url + example["path"],
        content=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code in {200, 400, 413, 422}, answer.text
    assert answer.status_code == 200 or answer.json()["error"]


@slow_is_fine
@given(body=st.binary(max_size=200), encoding=st.sampled_from(["identity", "gzip"]))
def test_any_bytes_are_answered(server, body, encoding):
    """Bytes that are no report at all are a 4xx."""
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    answer = httpx.post(f"{server.url}/api/v1/wandb/metrics", content=body, headers=headers)
    assert 400 <= answer.status_code < 500
    assert answer.json()["error"]


@slow_is_fine
@given(
    parameters=st.dictionaries(
        st.sampled_from(
            [
                "data_source",
                "metrics",
                "metric",
                "start",
                "end",
                "format",
                "x",
                "max_points",
                "from_x",
                "to_x",
                "cluster",
                "q",
                "limit",
                "offset",
            ]
        ),
        st.one_of(st.text(max_size=20), st.integers().map(str), st.floats().map(str)),
    ),
    path=st.sampled_from(
        ["", "/abc-123"]
        + [
            f"/abc-123/metrics/{part}"
            for part in ["sources", "available", "data", "iteration-times"]
        ]
    ),
)
def test_any_query_is_answered(server, path, parameters):
    """A reader's parameters, whatever they hold, are answered or refused."""
    storable = {
        name: value.encode("utf-8", "replace").decode() for name, value in parameters.items()
    }
    answer = server.get(f"/workloads{path}", **storable)
    assert answer.status_code in {200, 400, 404, 422}, answer.text
