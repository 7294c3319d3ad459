"""The pods of a cluster, followed over real HTTP; the cluster alone is a fake."""

import asyncio
import contextlib
import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from primus_lens.model import errors
from primus_lens.model.pods import Pod
from primus_lens.settings import PodWatchSettings
from primus_lens.workloads.pod_watch import PodWatch

LABEL = "primus-lens.io/workload-uid"


def pod(name, workload="", *, version="1", **annotations):
    """A pod as the API server tells it."""
    labels = {LABEL: workload} if workload else {}
    metadata = {"name": name, "namespace": "ns", "uid": f"uid-{name}", "resourceVersion": version}
    return {"metadata": {**metadata, "labels": labels, "annotations": annotations}}


class Cluster:
    """An API server: lists `pods` two a page, then tells `events` to whoever watches."""

    def __init__(self):
        self.pods = []
        self.events = queue.SimpleQueue()  # an event, or None: the watch ends
        self.asked = queue.SimpleQueue()  # (path, parameters, Authorization) of each request
        self.refusals = queue.SimpleQueue()  # statuses for the next requests
        cluster = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self):
                parts = urlsplit(self.path)
                asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
                cluster.asked.put((parts.path, asked, self.headers.get("Authorization")))
                with contextlib.suppress(queue.Empty):
                    self.send_response(cluster.refusals.get_nowait())
                    self.end_headers()
                    return
                self.send_response(200)
                self.end_headers()
                if "watch" in asked:
                    while (event := cluster.events.get()) is not None:
                        self.wfile.write(json.dumps(event).encode() + b"\n")
                else:
                    first = int(asked.get("continue", 0))
                    page = cluster.pods[first : first + 2]
                    more = str(first + 2) if first + 2 < len(cluster.pods) else ""
                    metadata = {"resourceVersion": "7", "continue": more}
                    self.wfile.write(json.dumps({"metadata": metadata, "items": page}).encode())

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        """Stop answering; a watch that is open ends."""
        self.events.put(None)
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def cluster():
    """A cluster of the test's own."""
    made = Cluster()
    yield made
    made.close()


def followed(cluster, *, until, learn=None, **options):
    """What a watch tells, until it has told so many pods."""
    told = []
    enough = asyncio.Event()

    async def note(pods):
        if learn is not None:
            await learn(pods)
        told.extend(pods)
        if len(told) >= until:
            enough.set()

    async def scenario():
        settings = PodWatchSettings(enabled=True, api=cluster.url, **options)
        following = asyncio.create_task(PodWatch(settings, note).follow(pause_s=0))
        await enough.wait()
        following.cancel()
        cluster.events.put(None)
        with contextlib.suppress(asyncio.CancelledError):
            await following

    asyncio.run(scenario())
    return told


def test_pods_there_are_and_pods_that_come_are_told(cluster):
    """All pages of the list are read, and the watch goes on from the version of the list."""
    cluster.pods = [pod("a", "w1"), pod("b", "w1"), pod("c", "w2"), pod("none")]
    cluster.events.put({"type": "ADDED", "object": pod("d", "w3", version="8")})
    assert followed(cluster, until=4) == [
        Pod("w1", "ns", "a", "uid-a"),
        Pod("w1", "ns", "b", "uid-b"),
        Pod("w2", "ns", "c", "uid-c"),
        Pod("w3", "ns", "d", "uid-d"),
    ]
    first, second, watch = (cluster.asked.get_nowait()[1] for _ in range(3))
    assert (first["labelSelector"], second["continue"]) == (LABEL, "2")
    assert (watch["watch"], watch["resourceVersion"]) == ("true", "7")


def test_watch_that_ends_goes_on_where_it_was(cluster):
    """A watch that the cluster ended is begun again from the last version that was told."""
    cluster.events.put({"type": "BOOKMARK", "object": pod("", version="9")})
    cluster.events.put(None)
    cluster.events.put({"type": "MODIFIED", "object": pod("a", "w", version="10")})
    followed(cluster, until=1)
    versions = [cluster.asked.get_nowait()[1].get("resourceVersion") for _ in range(3)]
    assert versions == [None, "7", "9"]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}},
        {"type": "ADDED"},
    ],
)
def test_version_that_is_too_old_means_listing_again(cluster, event):
    """After an error of the watch all pods are listed anew, so that none is missed."""
    cluster.pods = [pod("a", "w")]
    cluster.events.put(event)
    assert followed(cluster, until=2) == [Pod("w", "ns", "a", "uid-a")] * 2


def test_cluster_that_refuses_is_asked_again(cluster, caplog):
    """A refusal is logged in words and tried again."""
    cluster.pods = [pod("a", "w")]
    cluster.refusals.put(403)
    cluster.refusals.put(500)
    assert followed(cluster, until=1) == [Pod("w", "ns", "a", "uid-a")]
    assert "its service account may not list and watch pods" in caplog.records[0].reason


def test_pod_that_could_not_be_noted_is_told_again(cluster):
    """While the database is away nothing is forgotten."""
    cluster.pods = [pod("a", "w")]
    refusals = [errors.StoreUnavailable("not now")]

    async def learn(_):
        if refusals:
            raise refusals.pop()

    assert followed(cluster, until=1, learn=learn) == [Pod("w", "ns", "a", "uid-a")]


def test_annotation_may_name_several_workloads(cluster):
    """A pod of several workloads is told once for each; without a label all pods are looked at."""
    cluster.pods = [pod("a", "w1", jobs="w2, w3")]
    told = followed(cluster, until=3, annotation="jobs", namespace="team")
    assert [each.workload_uid for each in told] == ["w1", "w2", "w3"]
    path, asked, _ = cluster.asked.get_nowait()
    assert path == "/api/v1/namespaces/team/pods"
    assert "labelSelector" not in asked


def test_same_news_is_told_once(cluster):
    """A pod whose status changes every second is no news."""
    cluster.pods = [pod("a", "w")]
    for version in ("8", "9"):
        cluster.events.put({"type": "MODIFIED", "object": pod("a", "w", version=version)})
    cluster.events.put({"type": "DELETED", "object": pod("a", "w", version="10")})
    cluster.events.put({"type": "ADDED", "object": pod("b", "w", version="11")})
    assert [each.pod_name for each in followed(cluster, until=2)] == ["a", "b"]


def test_token_of_the_service_account_is_shown(cluster, tmp_path):
    """The token is read from its file for each connection."""
    (tmp_path / "token").write_text("secret\n")
    cluster.pods = [pod("a", "w")]
    followed(cluster, until=1, token_file=str(tmp_path / "token"))
    assert cluster.asked.get_nowait()[2] == "Bearer secret"


def test_address_comes_from_the_cluster():
    """In a cluster nothing has to be configured; elsewhere the address has to be given."""
    inside = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    watch = PodWatch(PodWatchSettings(), None, inside)
    assert watch._url == "https://[fd00::1]:443/api/v1/pods"
    with pytest.raises(errors.ConfigError, match=r"give workloads\.pod_watch\.api"):
        PodWatch(PodWatchSettings(), None, {})
