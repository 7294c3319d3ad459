"""From the spool to the server: nothing lost, nothing twice, whatever the server answers."""

import json
import os
import threading
import time

import pytest
from receiver import accept, refuse
from streams import Bench, log, steps

from primus_lens_wandb_exporter import (
    _filesystem,
    _frames,
    _guard,
    _health,
    _spool,
    _transport,
)


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
    monkeypatch.setattr(_transport, "TIMEOUT_S", 0.1)
    receiver.answer = lambda _request: "stall"
    recorder = bench.stream()
    log(recorder, 0, 5)
    bench.tick()
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


def test_a_full_spool_lets_the_oldest_go_and_says_so(tmp_path, receiver):
    """Within its bound the newest rows stay; received plus gaps equals produced, in points too."""
    bench = Bench(tmp_path, receiver.url, PRIMUS_LENS_WANDB_SPOOL_BYTES="65536")
    receiver.answer = refuse(503)
    recorder = bench.stream()
    for first in range(0, 4000, 100):
        log(recorder, first, first + 100)
        bench.tick()
        files = list(tmp_path.glob("primus-lens-*/s1/*.seg"))
        assert sum(path.stat().st_size for path in files) <= 65536
    receiver.answer = accept
    bench.settle()
    arrived = sorted(steps(receiver))
    assert arrived == list(range(arrived[0], 4000))
    assert arrived[0] > 0
    lost = sum(gap["last"] - gap["first"] + 1 for gap in receiver.gaps())
    assert lost + len(arrived) == 4000
    assert sum(gap["points"] for gap in receiver.gaps()) + len(receiver.points()) == 8000
    assert {gap["reason"] for gap in receiver.gaps()} == {"spool_full"}
    bench.die()


def adopt(folder, receiver):
    """Let another process's sender deliver what is in the folder."""
    heir = Bench(folder, receiver.url)
    heir.sender.adopt()
    heir.settle()
    heir.tick(2)
    heir.die()


def test_an_heir_delivers_the_rest(tmp_path, receiver):
    """Another process delivers what a dead one had logged but not sent, and marks the run."""
    bench = Bench(tmp_path, receiver.url)
    recorder = bench.stream()
    log(recorder, 0, 10)
    bench.settle()
    receiver.answer = refuse(503)
    log(recorder, 10, 5000)
    bench.die()
    receiver.answer = accept
    adopt(tmp_path, receiver)
    assert sorted(set(steps(receiver))) == list(range(5000))
    assert receiver.run_facts()["state"] == "crashed"
    assert list(tmp_path.glob("primus-lens-*/*")) == []


def test_a_living_stream_is_not_adopted(tmp_path, receiver):
    """While its process lives nobody else touches a stream."""
    bench = Bench(tmp_path, receiver.url)
    log(bench.stream(), 0, 10)
    code = (
        "import sys; from primus_lens_wandb_exporter import _adopt;"
        "print(len(list(_adopt.orphans(sys.argv[1], lambda _: False))))"
    )
    import subprocess  # noqa: PLC0415 - a record lock is only felt by another process
    import sys  # noqa: PLC0415 - as above

    out = subprocess.run(
        [sys.executable, "-c", code, bench.settings.spool_dir], check=True, capture_output=True
    )
    assert out.stdout.strip() == b"0"
    bench.die()


def test_deleted_segments_are_no_gap_for_the_heir(tmp_path, receiver):
    """An heir knows that what is missing at the front was delivered, and loses no memory of it."""
    bench = Bench(tmp_path, receiver.url)
    recorder = bench.stream()
    pad = "x" * 200
    log(recorder, 0, 6000, pad=pad)
    bench.settle()
    assert recorder.spool.segments[0].index > 0
    receiver.answer = refuse(503)
    log(recorder, 6000, 6100, pad=pad)
    bench.die()
    receiver.answer = accept
    adopt(tmp_path, receiver)
    assert sorted(set(steps(receiver))) == list(range(6100))
    assert receiver.gaps() == []


def test_evicted_segments_are_a_gap_for_the_heir(tmp_path, receiver):
    """An heir tells which records were lost before it came."""
    receiver.answer = refuse(503)
    bench = Bench(tmp_path, receiver.url, PRIMUS_LENS_WANDB_SPOOL_BYTES="65536")
    log(bench.stream(), 0, 4000)
    bench.die()
    receiver.answer = accept
    adopt(tmp_path, receiver)
    arrived = sorted(steps(receiver))
    (gap,) = receiver.gaps()
    assert (gap["first"], gap["reason"]) == (1, "spool_full")
    assert gap["last"] + len(arrived) == 4000


@pytest.mark.parametrize("cut", [1, 5, 12, 30, 41])
def test_a_torn_tail_costs_one_record(tmp_path, receiver, cut):
    """A segment cut short (a power cut) gives everything up to the torn record."""
    receiver.answer = refuse(503)
    bench = Bench(tmp_path, receiver.url)
    log(bench.stream(), 0, 50)
    bench.die()
    (path,) = tmp_path.glob("primus-lens-*/s1/*.seg")
    os.truncate(path, path.stat().st_size - cut)
    receiver.answer = accept
    adopt(tmp_path, receiver)
    assert steps(receiver) == list(range(49))
    assert receiver.gaps() == []


def test_damage_costs_the_damaged_record_only(tmp_path, receiver):
    """A flipped bit loses one record, which becomes a gap, and its bytes are set aside."""
    receiver.answer = refuse(503)
    bench = Bench(tmp_path, receiver.url)
    log(bench.stream(), 0, 50)
    bench.die()
    (path,) = tmp_path.glob("primus-lens-*/s1/*.seg")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    receiver.answer = accept
    adopt(tmp_path, receiver)
    (gap,) = receiver.gaps()
    assert gap["reason"] == "corrupt"
    assert gap["first"] == gap["last"]
    assert sorted(steps(receiver)) == [n for n in range(50) if n + 1 != gap["first"]]
    assert len(list(tmp_path.glob("primus-lens-*/quarantine/*.bin"))) == 1


def test_a_folder_that_cannot_be_written_keeps_rows_in_memory(tmp_path, receiver):
    """Without a disk the rows of a living process still arrive."""
    (tmp_path / "file").write_text("")
    bench = Bench(tmp_path / "file", receiver.url)
    recorder = bench.stream()
    log(recorder, 0, 3000)
    bench.settle()
    assert sorted(steps(receiver)) == list(range(3000))
    bench.die()


def test_segments_are_private(tmp_path, receiver):
    """Folders are 0700 and files 0600, whatever the umask."""
    before = os.umask(0)
    try:
        bench = Bench(tmp_path, receiver.url)
        log(bench.stream(), 0, 1)
    finally:
        os.umask(before)
    root = tmp_path / f"primus-lens-{os.getuid()}"
    assert [p.stat().st_mode & 0o777 for p in (root, root / "s1")] == [0o700, 0o700]
    assert {p.stat().st_mode & 0o777 for p in (root / "s1").iterdir()} == {0o600}
    bench.die()


def test_a_planted_link_is_not_followed(tmp_path, receiver):
    """A link where the spool should be is refused; rows stay in memory."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"primus-lens-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    bench = Bench(tmp_path, receiver.url)
    log(bench.stream(), 0, 3)
    bench.settle()
    assert steps(receiver) == [0, 1, 2]
    assert list((tmp_path / "elsewhere").iterdir()) == []
    bench.die()


def test_rows_logged_while_sending_are_all_sent(tmp_path, receiver):
    """A writer and the sender's thread at work together lose and repeat nothing."""
    bench = Bench(tmp_path, receiver.url)
    recorder = bench.stream()
    threads = [
        threading.Thread(target=log, args=(recorder, 0, 500)),
        threading.Thread(target=log, args=(recorder, 0, 500)),
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        bench.tick()
    bench.settle()
    assert sorted(steps(receiver)) == list(range(1000))
    bench.die()


def test_a_remote_folder_is_left_to_the_sender(tmp_path, receiver, monkeypatch):
    """On a network file system logging touches no file; the sender writes, and rows arrive."""
    monkeypatch.setattr(_filesystem, "is_local", lambda _folder: False)
    bench = Bench(tmp_path, receiver.url)
    recorder = bench.stream()
    log(recorder, 0, 100)
    assert list(tmp_path.iterdir()) == []
    bench.settle()
    assert steps(receiver) == list(range(100))
    assert len(list(tmp_path.glob("primus-lens-*/s1/*.seg"))) == 1
    bench.die()


def test_a_remote_folder_that_hangs_costs_bounded_memory(tmp_path, receiver, monkeypatch):
    """When nothing is written any more, what is queued stays bounded and the rest is a gap."""
    monkeypatch.setattr(_filesystem, "is_local", lambda _folder: False)
    monkeypatch.setattr(_spool, "MEMORY_BYTES", 4000)
    bench = Bench(tmp_path, receiver.url)
    recorder = bench.stream()
    log(recorder, 0, 20)
    with pytest.raises(OSError, match="does not keep up"):
        log(recorder, 20, 100)
    bench.settle()
    log(recorder, 200, 201)
    bench.settle()
    (gap,) = receiver.gaps()
    assert gap["reason"] == "spool_full"
    assert len(steps(receiver)) + gap["last"] - gap["first"] + 1 == recorder.spool.seq
    bench.die()


MOUNTS = """\
22 1 259:1 / / rw,relatime - ext4 /dev/root rw
30 22 0:30 / /mnt rw - nfs4 server:/export rw
31 30 0:31 / /mnt/fast rw - xfs /dev/nvme0 rw
32 22 0:32 / /with\\040blank rw - fuse.juicefs jfs rw
33 22 0:33 / /home rw - fuse.fuse-overlayfs overlay rw
34 22 0:34 / /mnt2 rw - lustre mds:/x rw
"""


@pytest.mark.parametrize(
    "folder, local",
    [
        ("/opt/x", True),
        ("/mnt/x/y", False),
        ("/mnt", False),
        ("/mnt/fast/x", True),
        ("/with blank/x", False),
        ("/home/me", True),
        ("/mnt2/x", False),
        ("/mnt3", True),
    ],
)
def test_the_mount_table_tells_what_is_local(tmp_path, folder, local):
    """The innermost mount decides, and the folder itself is never touched."""
    (tmp_path / "mounts").write_text(MOUNTS)
    assert _filesystem.is_local(folder, str(tmp_path / "mounts")) is local


def test_without_a_mount_table_folders_count_as_local(tmp_path):
    """Where there is no /proc the plain way is taken."""
    assert _filesystem.is_local("/x", str(tmp_path / "none")) is True


def test_names_without_a_place_are_counted(bench, receiver):
    """A point whose name the protocol refuses is counted and told with the next facts."""
    recorder = bench.stream()
    payload = json.dumps({"at": 1.0, "values": {"x" * 300: 1, "good": 2}}).encode()
    before = _health.counts.get("dropped_name", 0)
    recorder.place(_frames.PLAIN_ROW, None, payload, flush=True)
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
    recorder.fact(_frames.RUN, b'{"state": "running"}')
    log(recorder, 0, 3000)
    bench.tick(2)
    receiver.answer = answer
    bench.settle()
    assert sorted(steps(receiver)) == list(range(3000))


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
