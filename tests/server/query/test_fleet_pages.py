"""The fleet page by page while its workloads report and others join."""

import time
import uuid

import httpx
import pytest


@pytest.fixture
def tell(server):
    """Reports a step of workloads of this test's own, each by its number; returns their prefix."""
    prefix = f"pages-{uuid.uuid4().hex[:8]}"

    def told(*numbers, step=0):
        for number in numbers:
            metrics = [{"name": "loss", "value": 1, "step": step, "timestamp": time.time()}]
            # Two names for all, so that uids decide.
            report = {
                "workload_uid": f"{prefix}-{number:02}",
                "run_id": "r",
                "metrics": metrics,
                "run": {"name": f"Name {number % 2}"},
            }
            assert server.post("/wandb/metrics", report).status_code == 200
        return prefix

    return told


def pages(server, prefix, sort, meanwhile, limit=3):
    """The uids of all pages, one after the other; meanwhile is called between two."""
    found, after = [], ""
    while True:
        page = server.get("/workloads", q=prefix, sort=sort, limit=limit, after=after).json()
        found += [row["workload_uid"] for row in page["workloads"]]
        assert len(page["workloads"]) <= limit
        if page["next"] is None:
            return found
        after = page["next"]
        meanwhile()


@pytest.mark.parametrize("sort", ["name", "-name", "first_seen", "-first_seen", "workload_uid"])
def test_every_workload_is_on_one_page_however_they_report(server, tell, sort):
    """Who was there at the first page comes once, though all report and others join meanwhile."""
    numbers = list(range(10, 18))
    prefix = tell(*numbers)
    others = iter((50, 5, 51, 6, 52, 7))

    def meanwhile():
        tell(*reversed(numbers), step=1)
        tell(next(others))

    found = pages(server, prefix, sort, meanwhile)
    old = {f"{prefix}-{number:02}" for number in numbers}
    assert len(found) == len(set(found))
    assert old <= set(found)
    if sort == "workload_uid":
        assert [uid for uid in found if uid in old] == sorted(old)


def test_deleted_workload_leaves_its_place(server, tell):
    """The page behind a workload that has since been deleted begins where it was."""
    prefix = tell(1, 2, 3, 4)
    page = server.get("/workloads", q=prefix, sort="workload_uid", limit=2).json()
    gone = page["workloads"][-1]["workload_uid"]
    assert httpx.delete(f"{server.url}/api/v1/workloads/{gone}").status_code == 200
    rest = server.get("/workloads", q=prefix, sort="workload_uid", after=page["next"]).json()
    assert [row["workload_uid"] for row in rest["workloads"]] == [f"{prefix}-03", f"{prefix}-04"]
    assert rest["next"] is None
    assert rest["total_count"] == 3


def test_place_of_another_order_is_refused(server, tell):
    """A place belongs to the order that gave it; an order that moves gives none."""
    prefix = tell(1, 2)
    place = server.get("/workloads", q=prefix, sort="name", limit=1).json()["next"]
    for sort, after in (
        ("first_seen", place),
        ("-name", place),
        ("name", "x"),
        ("name", "ö"),
        ("trouble", place),
    ):
        answer = server.get("/workloads", sort=sort, after=after)
        assert answer.status_code == 400
        assert answer.json()["detail"][0]["field"] == "after"
