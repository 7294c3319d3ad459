"""Pods are put, workloads are deleted, over HTTP."""

import httpx
import pytest


def put(server, body, **options):
    """The answer to PUT /api/v1/pods."""
    return httpx.put(f"{server.url}/api/v1/pods", json=body, timeout=30, **options)


def test_pods_that_are_put_are_listed_and_resolve(server, workload):
    """A pod of two workloads is listed twice; a report that names it alone goes to both."""
    names = [f"{workload}-a", f"{workload}-b"]
    given = [{"workload_uid": uid, "pod_name": workload, "namespace": "ns"} for uid in names]
    assert put(server, given).json() == {"pods": 2, "added": 2}
    assert put(server, given).json() == {"pods": 2, "added": 0}
    listed = server.get("/pods", pod_name=workload).json()
    assert [pod["workload_uid"] for pod in listed["pods"]] == names
    assert server.get("/pods", workload=names[0]).json()["total_count"] == 1
    points = [{"name": "loss", "value": 1, "step": 0}]
    body = {"pod_name": workload, "namespace": "ns", "metrics": points}
    assert server.post("/wandb/metrics", body).json()["workloads_count"] == 2


@pytest.mark.parametrize(
    "body, words",
    [
        ({"workload_uid": "w"}, "the body is wrong: Expected `array`, got `object`"),
        ([{"pod_name": "p"}], "[0] is wrong: Object missing required field `workload_uid`"),
        (
            [{"workload_uid": "w", "pod_name": 5}],
            "[0].pod_name is wrong: Expected `str`, got `int`",
        ),
        ([{"workload_uid": "w"}], "[0].pod_name is missing"),
        ([{"workload_uid": "w", "pod_name": "a\0b"}], "PostgreSQL refuses this data"),
    ],
)
def test_pods_that_are_none_are_refused_in_words(server, body, words):
    """What is wrong with a body is named."""
    answer = put(server, body)
    assert answer.status_code == 422
    assert words in answer.json()["error"]


def test_body_that_is_no_json_is_refused(server):
    """Damage is told apart from wrong fields, and from another kind of body."""
    url = f"{server.url}/api/v1/pods"
    json = {"Content-Type": "application/json"}
    assert httpx.put(url, content=b"[{", headers=json).status_code == 400
    assert httpx.put(url, content=b"[" * 100_000, headers=json).status_code == 422
    assert httpx.put(url, content=b"[]", headers={"Content-Type": "text/csv"}).status_code == 415


def test_deleted_workload_is_gone_for_every_reader(server, workload):
    """A workload is deleted once, slash in its name or not; the second time it is not there."""
    name = f"team/{workload}"
    point = {"name": "loss", "value": 1, "step": 0}
    server.post("/wandb/metrics", {"workload_uid": name, "metrics": [point]})
    url = f"{server.url}/api/v1/workloads/{name}"
    answer = httpx.delete(url, timeout=30)
    assert answer.status_code == 200
    assert answer.json()["deleted"]["steps"] == 1
    assert httpx.get(url).status_code == 404
    again = httpx.delete(url)
    assert again.status_code == 404
    assert again.json()["error"] == f"there is no workload {name}; it may have been deleted before"


def test_successor_of_a_deleted_workload_is_not_taken_for_it(server, workload):
    """Who knows the answer of a workload is told anew when another reports under its name."""
    path = f"/workloads/{workload}/metrics/data"
    told = []
    for value in (1, 2):
        points = [{"name": "loss", "value": value, "step": 0, "timestamp": 5.0}]
        server.post("/wandb/metrics", {"workload_uid": workload, "metrics": points})
        known = {"If-None-Match": told[-1].headers["etag"]} if told else {}
        told.append(httpx.get(f"{server.url}/api/v1{path}", headers=known, timeout=30))
        httpx.delete(f"{server.url}/api/v1/workloads/{workload}", timeout=30)
    assert [answer.status_code for answer in told] == [200, 200]
    assert [answer.json()["data"][0]["value"] for answer in told] == [1, 2]


def test_changes_take_the_scope_admin(guarded_server, make_token, workload):
    """Reading the pods takes the scope read; putting them and deleting a workload, admin."""
    url = f"{guarded_server.url}/api/v1"
    reads, admin = ({"Authorization": f"Bearer {make_token(scope)}"} for scope in ("read", "admin"))
    assert httpx.get(f"{url}/pods", headers=reads).status_code == 200
    assert put(guarded_server, [], headers=reads).status_code == 403
    assert put(guarded_server, [], headers=admin).status_code == 200
    assert httpx.delete(f"{url}/workloads/{workload}", headers=reads).status_code == 403
    assert httpx.delete(f"{url}/workloads/{workload}", headers=admin).status_code == 404
