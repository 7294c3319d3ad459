"""From the spool to the server: nothing lost, nothing twice, whatever the server answers."""

import json
import queue
import threading
import time
from types import SimpleNamespace

import pytest
from receiver import accept, refuse
from streams import Bench, log, steps

from primus_lens_wandb_exporter import (
    _delivery,
    _evidence,
    _frames,
    _guard,
    _health,
    _transport,
)

RUNNING = b'{"facts": {"state": "running"}, "config": {"update": [], "remove": []}}'


@pytest.fixture
def bench(tmp_path, receiver):
    """A sender that reports to the receiver."""
    made = Bench(tmp_path, receiver.url)
    yield made
    made.die()


def test_rows_arrive_in_order_under_their_key(bench, receiver):
    """A request names its stream and the records it carries, all of them."""
    recorder = bench.stream()
    log(recorder, 0, 5)
    bench.settle()
    log(recorder, 5, 7)
    bench.settle()
    assert [request.key for request in receiver.metrics()] == ["s1/1-5", "s1/6-7"]
    assert steps(receiver) == list(range(7))


def ask_for_the_run(request):
    """Take a request as a server does on which the run was deleted."""
    status, headers, body = accept(request)
    return status, headers, {**body, **({"tell_run": True} if request.key else {})}


def test_run_is_told_again_to_a_server_that_asks(bench, receiver):
    """Once for each answer that asks: all that was said of the run, without a key, and evidence."""
    recorder = bench.stream()
    told = {"facts": {"state": "running", "name": "n"}, "config": {"update": [], "remove": []}}
    recorder.fact(_frames.RUN, json.dumps(told).encode())
    config = {"update": [[["lr"], 0.5]], "remove": []}
    recorder.fact(_frames.CONFIG, json.dumps(config).encode())
    bench.settle()
    evidence = len(receiver.detections())
    receiver.answer = ask_for_the_run
    log(recorder, 0, 5)
    bench.settle()
    bench.tick(3)
    [again] = [request for request in receiver.metrics() if not request.key]
    said = {"state": "running", "name": "n", "config": {"lr": 0.5}, "attempt": 900.0}
    assert {**again.body["run"], **said} == again.body["run"]
    assert again.body["metrics"] == []
    assert len(receiver.detections()) == evidence + 1
    assert steps(receiver) == list(range(5))


def test_run_that_nobody_told_is_not_told_again(bench, receiver):
    """A stream whose beginning is gone has nothing to tell, however often the server asks."""
    receiver.answer = ask_for_the_run
    log(bench.stream(), 0, 5)
    bench.settle()
    assert [request.key for request in receiver.metrics()] == ["s1/1-5"]


@pytest.mark.parametrize("interval, looks_every", [("0.05", 0.05), ("10", 0.25)])
def test_a_short_interval_is_kept(tmp_path, receiver, interval, looks_every):
    """Rows are looked for as often as they are to be sent, at least four times a second."""
    bench = Bench(tmp_path, receiver.url, PRIMUS_LENS_WANDB_FLUSH_INTERVAL=interval)
    waited = []

    class Woken(queue.Queue):
        """Notes how long was to be waited and ends the sender."""

        def get(self, *, timeout):
            waited.append(timeout)
            bench.sender._closing = True

    bench.sender._woken = Woken()
    bench.sender._run()
    assert waited == [looks_every]


def test_many_points_share_a_request(bench, receiver):
    """Points that wait together travel together, at most 10,000 a request."""
    log(bench.stream(), 0, 6000)
    bench.settle()
    sizes = [len(request.body["metrics"]) for request in receiver.metrics()]
    assert sum(sizes) == 12000
    assert max(sizes) <= 10000
    assert sorted(sizes)[1] >= 100


def test_requests_share_a_connection(bench, receiver):
    """Requests of a sender travel over one kept-alive connection."""
    peers = set()
    receiver.answer = lambda request: peers.add(request.peer) or accept(request)
    recorder = bench.stream()
    for n in range(5):
        log(recorder, n, n + 1)
        bench.settle()
    assert len(peers) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 408, 425, 429, 500, 502, 503, 504, 302])
def test_not_now_keeps_everything(bench, receiver, status):
    """An answer that means "not now" loses nothing: the same records come again, once."""
    receiver.answer = refuse(status)
    recorder = bench.stream()
    log(recorder, 0, 50)
    bench.tick(3)
    assert receiver.points() == []
    receiver.answer = accept
    log(recorder, 50, 60)
    bench.settle()
    assert sorted(steps(receiver)) == list(range(60))


@pytest.mark.parametrize("answer", ["cut"])
def test_a_cut_connection_loses_nothing(bench, receiver, answer):
    """A connection that breaks before the answer makes the records come again."""
    receiver.answer = lambda _request: answer
    recorder = bench.stream()
    log(recorder, 0, 50)
    bench.tick(2)
    receiver.answer = accept
    bench.settle()
    assert sorted(steps(receiver)) == list(range(50))


def test_an_answer_that_never_comes_is_a_not_now(bench, receiver, monkeypatch):
    """After the time limit a stalled request counts as refused and its records come again."""
    receiver.answer = lambda _request: "stall"
    recorder = bench.stream()
    log(recorder, 0, 5)
    with monkeypatch.context() as short:
        short.setattr(_transport, "TIMEOUT_S", 0.1)
        bench.tick()
        receiver.wait_for(lambda r: r.requests)
    receiver.answer = accept
    bench.settle()
    assert steps(receiver) == list(range(5))


def test_fresh_rows_go_before_the_backlog(bench, receiver):
    """After an outage what is logged now is sent first, what waited comes behind it."""
    receiver.answer = refuse(503)
    recorder = bench.stream()
    for first in range(0, 3000, 1000):
        log(recorder, first, first + 1000, width=6)
        bench.tick()
    receiver.answer = accept
    log(recorder, 3000, 3010, width=6)
    bench.settle()
    arrived = steps(receiver)
    assert arrived[0] > 2000
    assert sorted(arrived) == list(range(3010))


def test_back_off_waits_between_half_a_second_and_a_minute(bench, receiver):
    """Each failure waits a random time from 0.5 s up to a bound that doubles to 60 s."""
    receiver.answer = refuse(503)
    log(bench.stream(), 0, 1)
    waits = []
    for _ in range(12):
        bench.tick()
        waits.append(bench.sender._next_try - time.monotonic())
    assert all(0 < wait <= 60 for wait in waits)
    assert waits[0] <= 1.0
    assert max(waits[6:]) > 1.0


@pytest.mark.parametrize("form", ["30", "date"])
def test_retry_after_is_honoured(bench, receiver, form):
    """The server's Retry-After, seconds or a date, is the least that is waited."""
    if form == "date":
        form = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 30))
    receiver.answer = refuse(503, Retry_After=form)
    log(bench.stream(), 0, 1)
    bench.tick()
    assert 25 < bench.sender._next_try - time.monotonic() < 61


def test_no_request_leaves_before_the_back_off_is_over(bench, receiver):
    """Between two tries the server is left alone."""
    receiver.answer = refuse(503, Retry_After="60")
    recorder = bench.stream()
    log(recorder, 0, 1)
    bench.tick()
    asked = len(receiver.requests)
    for step in range(1, 5):
        log(recorder, step, step + 1)
        bench.sender.tick()
    assert len(receiver.requests) == asked


def too_large(limit):
    """Answer 413 to more points than this."""
    return lambda r: accept(r) if len(r.body["metrics"]) <= limit else refuse(413)(r)


def test_too_large_is_split(bench, receiver):
    """413 halves the request until it fits; every record keeps one key."""
    receiver.answer = too_large(10)
    log(bench.stream(), 0, 64)
    bench.settle()
    assert steps(receiver) == list(range(64))
    spans = [request.span for request in receiver.metrics() if request.key]
    assert sum(last - first + 1 for first, last in spans) == 64


def test_one_row_too_large_is_sent_in_parts(bench, receiver):
    """A single row that does not fit travels in pieces without a key."""
    receiver.answer = too_large(10)
    log(bench.stream(), 0, 1, width=64)
    bench.settle()
    assert len(receiver.points()) == 64
    assert {request.key for request in receiver.metrics()} == {""}


@pytest.mark.parametrize("status", [400, 422])
def test_a_poison_record_falls_alone(bench, receiver, status):
    """The one record the server can never take is found, dropped, counted and told as a gap."""

    def answer(request):
        poisoned = any(p["step"] == 37 for p in request.body["metrics"])
        return refuse(status)(request) if poisoned else accept(request)

    receiver.answer = answer
    log(bench.stream(), 0, 100)
    bench.settle()
    assert sorted(steps(receiver)) == [n for n in range(100) if n != 37]
    assert receiver.gaps() == [{"first": 38, "last": 38, "reason": "rejected", "points": 2}]


def test_a_refused_envelope_costs_no_record(bench, receiver):
    """When the server refuses even an empty report, no record is blamed and all are kept."""
    receiver.answer = refuse(400, {"error": "no valid workload found"})
    log(bench.stream(), 0, 20)
    bench.tick(3)
    assert len(receiver.requests) <= 8
    receiver.answer = accept
    bench.settle()
    assert sorted(steps(receiver)) == list(range(20))
    assert receiver.gaps() == []


def test_a_report_without_a_time_is_still_json(bench, receiver, monkeypatch):
    """Of an absurd clock nothing is left beside the points, and they arrive."""
    recorder = bench.stream()
    log(recorder, 0, 5)
    monkeypatch.setattr(_delivery, "time", SimpleNamespace(time=lambda: 1e18))
    bench.settle()
    (report,) = receiver.metrics()
    assert set(report.body).isdisjoint({"timestamp", "run", "gaps"})
    assert steps(receiver) == list(range(5))


def test_a_run_that_used_the_last_step_there_is_still_ends(bench, receiver):
    """The row of step 2**63 - 1 arrives, and so does the end of the run after it."""
    recorder = bench.stream()
    recorder.step = 2**63 - 1
    log(recorder, 0, 1)
    recorder.end(0)
    bench.settle()
    assert steps(receiver) == [2**63 - 1]
    assert receiver.run_facts()["state"] == "finished"


def test_only_unknown_records_are_sent_again(bench, receiver):
    """409 names what the server has; the others come in requests of their own."""
    known = {n for n in range(1, 101) if 20 <= n <= 40 or n == 77}

    def answer(request):
        first, last = request.span
        named = set(range(first, last + 1))
        if named & known and not named <= known:
            return 409, {}, {"error": "some are known", "accepted": [[20, 40], [77, 77]]}
        return accept(request)

    receiver.answer = answer
    log(bench.stream(), 0, 100)
    bench.settle()
    assert [request.span for request in receiver.metrics()] == [(1, 19), (41, 76), (78, 100)]


def test_a_409_that_names_nothing_is_a_not_now(bench, receiver):
    """A contradictory 409 backs off instead of asking for ever."""
    receiver.answer = refuse(409, {"error": "odd", "accepted": []})
    log(bench.stream(), 0, 5)
    bench.tick()
    assert len(receiver.requests) == 1
    receiver.answer = accept
    bench.settle()
    assert steps(receiver) == list(range(5))


def test_unsupported_media_type_drops_and_counts(bench, receiver):
    """415 can never become better: the records are given up and told as a gap."""
    receiver.answer = lambda r: refuse(415)(r) if r.body["metrics"] else accept(r)
    log(bench.stream(), 0, 5)
    bench.settle()
    assert receiver.gaps() == [{"first": 1, "last": 5, "reason": "rejected", "points": 10}]


def test_names_without_a_place_are_counted(bench, receiver):
    """A point whose name the protocol refuses is counted and told with the next facts."""
    recorder = bench.stream()
    payload = json.dumps({"at": 1.0, "values": {"x" * 300: 1, "good": 2}}).encode()
    before = _health.counts.get("dropped_name", 0)
    recorder.row(_frames.PLAIN_ROW, None, True, payload)
    recorder.end(0)
    bench.settle()
    assert [point["name"] for point in receiver.points()] == ["good"]
    told = receiver.metrics()[-1].body["exporter"]["dropped"]["dropped_name"]
    assert told == _health.counts["dropped_name"] == before + 1


def test_a_server_that_takes_no_evidence_still_gets_the_backlog(bench, receiver):
    """Refused evidence does not keep points waiting."""

    def answer(request):
        return (refuse(500) if request.path.endswith("detection") else accept)(request)

    receiver.answer = refuse(503)
    recorder = bench.stream()
    recorder.fact(_frames.RUN, RUNNING)
    log(recorder, 0, 3000)
    bench.tick(2)
    receiver.answer = answer
    bench.settle()
    assert sorted(steps(receiver)) == list(range(3000))
    assert any(request.path.endswith("detection") for request in receiver.requests)
    assert receiver.detections() == []


def test_evidence_that_could_not_be_gathered_is_gathered_later(bench, receiver, monkeypatch):
    """A fault of ours while looking costs a look, not the detection."""
    monkeypatch.setattr(_guard, "reraise", False)
    collect = _evidence.collect
    faults = iter([RuntimeError("dictionary changed size during iteration")])

    def sometimes(*args):
        for fault in faults:
            raise fault
        return collect(*args)

    monkeypatch.setattr(_evidence, "collect", sometimes)
    bench.stream().fact(_frames.RUN, RUNNING)
    bench.settle()
    assert receiver.detections() == []
    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 3600)
    bench.tick(2)
    assert len(receiver.detections()) == 1


def test_a_gap_the_server_never_takes_is_not_told_for_ever(bench, receiver):
    """A refused gap is given up, and delivery goes on."""
    poisoned = ("gaps", "metrics")
    receiver.answer = lambda r: (
        refuse(422)(r) if any(r.body.get(k) for k in poisoned) else accept(r)
    )
    recorder = bench.stream()
    log(recorder, 0, 1)
    bench.settle()
    receiver.answer = accept
    log(recorder, 1, 3)
    bench.settle()
    assert steps(receiver) == [1, 2]


def test_one_broken_stream_does_not_stop_the_others(bench, receiver, monkeypatch):
    """Trouble in one stream is counted, and the other streams are delivered."""
    monkeypatch.setattr(_guard, "reraise", False)
    broken, sound = bench.stream("r1"), bench.stream("r2")
    log(broken, 0, 3)
    log(sound, 0, 3)
    monkeypatch.setattr(bench.sender.live[0], "fill", None)
    bench.tick(3)
    assert steps(receiver, "r2") == [0, 1, 2]
    assert steps(receiver, "r1") == []


def test_a_fault_of_ours_in_delivering_costs_a_try(bench, receiver, monkeypatch):
    """What was in hand when an error of ours struck is tried again, and arrives."""
    monkeypatch.setattr(_guard, "reraise", False)
    deliver, faults = _delivery.deliver, iter([MemoryError()])

    def sometimes(*args):
        for fault in faults:
            raise fault
        return deliver(*args)

    monkeypatch.setattr(_delivery, "deliver", sometimes)
    log(bench.stream(), 0, 5)
    bench.settle()
    assert steps(receiver) == list(range(5))


def test_a_job_that_hangs_in_wandb_does_not_stop_delivery(bench, receiver):
    """While a thread holds a run's lock in wandb's publish, rows of that run are still sent."""
    recorder = bench.stream()
    pad = "x" * 200
    log(recorder, 0, 6000, pad=pad)
    held, release = threading.Event(), threading.Event()

    def hang():
        with recorder.lock:
            held.set()
            release.wait(30)

    thread = threading.Thread(target=hang)
    thread.start()
    held.wait()
    bench.settle()
    assert steps(receiver) == list(range(6000))
    assert recorder.spool.segments[0].index == 0
    release.set()
    thread.join()
    bench.tick()
    assert recorder.spool.segments[0].index > 0
