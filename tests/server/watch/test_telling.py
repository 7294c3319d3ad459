"""Alerts by webhook: a real receiver that fails, redirects, hangs up and recovers."""

import http.server
import json
import queue
import signal
import threading
import time

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from primus_lens.watch import telling

SECRET = "a secret of both sides"  # noqa: S105 - of this test
QUICK = "every_s: 0.05"


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps what is posted to it. answers: the next statuses; 204 when there are none left."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Answering)
        self.got: queue.Queue = queue.Queue()
        self.answers: list[int] = []
        self.url = f"http://127.0.0.1:{self.server_port}/alerts?team=a"

    def next(self):
        """The next request: its path, its headers, its body."""
        return self.got.get(timeout=60)


class _Answering(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.answers.pop(0) if self.server.answers else 204
        self.server.got.put((self.path, self.headers, body, status))
        if not status:  # hang up
            self.close_connection = True
            return
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", self.server.url + "&followed")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def receiver():
    """A receiver of webhooks."""
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def watching(make_server, free_ports, database_dsn):
    """Starts a server that watches and tells a receiver; has its self-metrics at `.metrics`."""

    def start(receiver, secret=""):
        port = free_ports()
        running = make_server(
            f"watch: {{{QUICK}, webhook_url: '{receiver.url}', webhook_secret: '{secret}'}}\n"
            f"metrics: {{prometheus: {{port: {port}}}}}\n"
            f"database: {{dsn: '{database_dsn}'}}\n"
        ).start()
        running.metrics = f"http://127.0.0.1:{port}/metrics"
        running.dsn = database_dsn
        return running

    return start


def report(server, values, *, first=0, workload="w", state="running"):
    """Losses that are logged now, a step a value."""
    now = time.time()
    metrics = [
        {"name": "loss", "value": value, "step": first + i, "timestamp": now - 60 + first + i}
        for i, value in enumerate(values)
    ]
    body = {"workload_uid": workload, "run_id": "r", "run": {"state": state}, "metrics": metrics}
    assert server.post("/wandb/metrics", body).is_success


def samples(server, family):
    """What a family of the self-metrics says: labels to value."""
    text = httpx.get(server.metrics).text
    return {
        tuple(sample.labels.values()): sample.value
        for each in text_string_to_metric_families(text)
        for sample in each.samples
        if sample.name == family
    }


def test_alert_is_told_once_open_and_once_closed(receiver, watching):
    """A receiver that fails and hangs up hears each event once it recovers, in order, signed."""
    receiver.answers = [503, 0, 429]
    server = watching(receiver, SECRET)
    report(server, [2.0, "NaN", 2.0])
    tries = [receiver.next() for _ in range(4)]
    assert [status for *_, status in tries] == [503, 0, 429, 204]
    path, headers, body, _ = tries[-1]
    assert path == "/alerts?team=a"
    told = json.loads(body)
    assert (told["version"], told["event"], told["alert"]["state"]) == (1, "opened", "open")
    [alert] = server.get("/alerts").json()["alerts"]
    assert told["alert"] == alert
    assert headers["X-Primus-Lens-Signature"] == telling.signature(
        SECRET, headers["X-Primus-Lens-Timestamp"], body
    )
    assert len({each[1]["X-Primus-Lens-Delivery"] for each in tries}) == 1
    assert samples(server, "watch_alerts")["nonfinite", "open"] == 1
    report(server, [2.0] * 12, first=3)
    _, _, body, _ = receiver.next()
    assert json.loads(body)["event"] == "closed"
    report(server, [2.0, "NaN"], workload="v")
    assert json.loads(receiver.next()[2])["alert"]["workload_uid"] == "v"  # nothing came between
    assert samples(server, "watch_webhook_total") == {
        ("told",): 3, ("refused",): 0, ("failed",): 3
    }  # fmt: skip
    assert samples(server, "watch_alerts_opened_total")["nonfinite",] == 2


def test_redirect_is_not_followed_and_a_refusal_not_repeated(receiver, watching):
    """What the receiver does not take for good is counted and left; the next alert is told."""
    receiver.answers = [307, 400]
    server = watching(receiver)
    report(server, ["NaN"], workload="a")
    assert receiver.next()[3] == 307
    report(server, ["NaN"], workload="b")
    assert receiver.next()[3] == 400
    report(server, ["NaN"], workload="c")
    path, headers, body, _ = receiver.next()
    assert (path, json.loads(body)["alert"]["workload_uid"]) == ("/alerts?team=a", "c")
    assert "X-Primus-Lens-Signature" not in headers


def test_silenced_alert_is_told_when_silence_ends(receiver, watching):
    """An alert of a silenced workload stands as silenced, and is told to nobody until it ends."""
    server = watching(receiver)
    silent = {"silenced_until": 4_000_000_000_000, "silenced_kinds": ["nonfinite"]}
    address = f"{server.url}/api/v1/workloads/quiet/watch"
    assert httpx.put(address, json=silent).is_success
    report(server, ["NaN"], workload="quiet")
    while not (found := server.get("/alerts", state="silenced").json()["alerts"]):
        time.sleep(0.02)  # until the watch has looked
    assert [each["state"] for each in found] == ["silenced"]
    assert server.get("/alerts").json()["alerts"] == []
    report(server, ["NaN"], workload="loud")
    assert json.loads(receiver.next()[2])["alert"]["workload_uid"] == "loud"
    assert httpx.put(address, json={}).is_success
    report(server, ["NaN"], workload="louder")  # wakes the teller
    assert {json.loads(receiver.next()[2])["alert"]["workload_uid"] for _ in range(2)} == {
        "quiet", "louder"
    }  # fmt: skip


def test_alert_outlives_the_server(receiver, watching):
    """An alert that nobody took is told by the next server on the same database."""
    receiver.answers = [503] * 9
    server = watching(receiver)
    report(server, ["NaN"])
    assert receiver.next()[3] == 503
    assert server.stop() == 0
    receiver.answers = []
    while not receiver.got.empty():
        receiver.got.get()
    server.start()
    assert json.loads(receiver.next()[2])["event"] == "opened"
    report(server, ["NaN"], workload="next")
    assert json.loads(receiver.next()[2])["alert"]["workload_uid"] == "next"


def heard(receiver):
    """The next event that is told: what became of which workload's alert."""
    told = json.loads(receiver.next()[2])
    return told["event"], told["alert"]["workload_uid"]


def who_watches(servers):
    """The one server that watches, and the other."""
    watching, other = sorted(servers, key=lambda server: -samples(server, "watch_runs")[()])
    assert samples(other, "watch_runs")[()] == 0
    return watching, other


def stands(server):
    """Every alert there ever was: workload and state."""
    alerts = server.get("/alerts", state="all").json()["alerts"]
    return sorted((each["workload_uid"], each["state"]) for each in alerts)


def test_two_processors_open_end_and_tell_each_alert_once(receiver, watching):
    """So it is when the one that watches is killed, and when its successor is."""
    servers = first, second = watching(receiver), watching(receiver)
    report(first, [2.0, "NaN", 2.0], workload="a")
    report(second, [2.0, "NaN", 2.0], workload="b")
    assert {heard(receiver), heard(receiver)} == {("opened", "a"), ("opened", "b")}
    watcher, other = who_watches(servers)

    watcher.stop(signal.SIGKILL)
    report(other, [2.0] * 12, first=3, workload="a")
    assert heard(receiver) == ("closed", "a")
    report(other, ["NaN"], workload="c")
    assert heard(receiver) == ("opened", "c")
    assert stands(other) == [("a", "closed"), ("b", "open"), ("c", "open")]

    watcher.start()
    other.stop(signal.SIGKILL)
    report(watcher, [2.0] * 12, first=3, workload="b")
    assert heard(receiver) == ("closed", "b")
    report(watcher, [2.0] * 12, first=1, workload="c")
    assert heard(receiver) == ("closed", "c")
    report(watcher, ["NaN"], workload="d")
    assert heard(receiver) == ("opened", "d")  # nothing came between
    assert stands(watcher) == [("a", "closed"), ("b", "closed"), ("c", "closed"), ("d", "open")]


def test_watch_that_loses_its_connection_tells_nothing_twice(receiver, watching):
    """When PostgreSQL ends the connection that holds the lock, either server goes on."""
    servers = [watching(receiver), watching(receiver)]
    report(servers[0], [2.0, "NaN", 2.0], workload="a")
    assert heard(receiver) == ("opened", "a")
    for workload in "bcde":
        [(ended,)] = servers[0].sql(
            """WITH watch AS (SELECT hashtextextended('primus_lens watch', 8) AS key)
            SELECT pg_terminate_backend(pid) FROM pg_locks, watch WHERE locktype = 'advisory'
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND granted AND classid::bigint = (key >> 32) & 4294967295
            AND objid::bigint = key & 4294967295"""
        )
        assert ended
        report(servers[0], ["NaN"], workload=workload)
        assert heard(receiver) == ("opened", workload)
    report(servers[1], [2.0] * 12, first=3, workload="a")
    assert heard(receiver) == ("closed", "a")
    assert stands(servers[0]) == [("a", "closed"), *((each, "open") for each in "bcde")]


def test_delay_doubles_up_to_five_minutes():
    """Each failure in a row waits for up to twice as long as the one before, at least for half."""
    for failures in range(1, 40):
        longest = min(300, 2 ** (failures - 1))
        assert longest / 2 <= telling.delay_s(failures) <= longest
