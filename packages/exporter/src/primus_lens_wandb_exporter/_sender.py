"""Sixth room: a background thread that carries the spool to the server.

It looks at the spool four times a second, or as often as is to be flushed, sends what is fresh
first and a backlog behind it, backs off when the server does not take it, and delivers what dead
processes left behind. It knows the trainer only through the spool, so it could live in another
process.
"""

import contextlib
import json
import queue
import random
import threading
import time
from collections.abc import Mapping
from typing import Any, Callable, Optional

from primus_lens_wandb_exporter import (
    _adopt,
    _delivery,
    _detection,
    _guard,
    _health,
    _identity,
    _local_file,
    _settings,
    _spool,
    _transport,
)
from primus_lens_wandb_exporter._feed import Batch, Feed

TICK_S = 0.25
EXIT_S = 2.0
SYNC_S = 0.5  # what a power cut can take
ADOPT_S = 10.0
BACKOFF_FIRST_S, BACKOFF_MOST_S = 0.5, 60.0
_PAUSE_S = 0.00005
_LOCK_WAITS_S = 0.1  # wandb may hang in its publish with the lock held; delivery goes on then


class LiveSource:
    """A live stream as the feed sees it."""

    def __init__(self, recorder: Any) -> None:
        self.recorder = recorder
        self.segments = recorder.spool.segments
        self._synced_to = 0

    def write_queued(self) -> None:
        """Write what the training thread may not write itself."""
        self.recorder.spool.write_queued()

    def make_ready(self, pause: Callable[[], None]) -> None:
        """Prepare what the training thread will write to next."""
        if not self.recorder.ended:
            self.recorder.spool.make_ready(pause)

    def note(self, kept: dict[str, Any]) -> bool:
        """Write what a later reader must know; False while the training thread is publishing."""
        return self._locked(self.recorder.spool.note, json.dumps(kept).encode())

    def sync(self, pause: Callable[[], None]) -> None:
        """Bring what is written to the disk, and the pages that follow back to hand.

        As many as were written since the last time, and half of that more.
        """
        newest = self.segments[-1]
        newest.sync()
        written_to = newest.index * _spool.SEGMENT_BYTES + newest.size
        written, self._synced_to = written_to - self._synced_to, written_to
        ahead = min(max(written * 3 // 2, 1), _spool.SEGMENT_BYTES)
        for nearest in range(0, ahead, _spool.AT_HAND_BYTES):
            self._locked(self.recorder.spool.keep_at_hand, nearest)
            pause()

    def _locked(self, call: Callable[..., None], *args: Any) -> bool:
        if not self.recorder.lock.acquire(timeout=_LOCK_WAITS_S):
            return False
        try:
            call(*args)
        finally:
            self.recorder.lock.release()
        return True

    def remove_through(self, index: int) -> None:
        """Delete the segments up to this one."""
        self.recorder.spool.remove_through(index)

    def remove(self) -> None:
        """Delete the stream."""
        with self.recorder.lock:
            self.recorder.spool.remove()

    @property
    def ended(self) -> bool:
        """Whether no record can follow."""
        return bool(self.recorder.ended)


def probe(transport: _transport.Transport, identity: _identity.Identity) -> _transport.Verdict:
    """Post a report without points, as the specification's connectivity check does."""
    opening = _delivery.opening(identity.address(), "doctor")
    to = _delivery.Addressee("", opening, 0.0, {})
    return transport.post("/wandb/metrics", _delivery.metrics_body(to, []))


class Sender:
    """The thread and what it works on. sampler: reads system metrics, or None."""

    def __init__(
        self, settings: _settings.Settings, env: Mapping[str, str], sampler: Any, base_url: str = ""
    ) -> None:
        self.settings, self.env, self.sampler = settings, env, sampler
        self.live: list[Feed] = []
        self.left: list[Feed] = []
        self.heir_of = ""  # at exit: the family of forked children to deliver for
        self.delivery: dict[str, _delivery.Addressee] = {}
        self.detection = _detection.Detection(env)
        self.transport = _transport.Transport(base_url or settings.base_url, settings)
        self._thread: Optional[threading.Thread] = None
        self._start_lock = threading.Lock()
        self._woken: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._closing = False
        self._failures = 0
        self._next_try = 0.0
        self._next_sync = 0.0
        self._next_adoption = time.monotonic() + 1.0

    def follow(self, recorder: Any, head: dict[str, Any]) -> None:
        """Carry a new stream from now on."""
        feed = Feed(LiveSource(recorder), head, self._pause)
        feed.keep_rows = bool(self.settings.save_local and self.settings.output_path)
        self._watch_damage(feed)
        self.live.append(feed)

    def start(self) -> None:
        """Start the thread unless it runs."""
        with self._start_lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="primus-lens-sender", daemon=True)
                thread.start()
                self._thread = thread

    @property
    def runs(self) -> bool:
        """Whether the thread was started."""
        return self._thread is not None

    def wake(self) -> None:
        """Ask the thread to look at once.

        A queue, whose put may be interrupted by itself: a signal handler of the job may log, too.
        """
        self._woken.put(None)

    def finish(self, limit_s: float) -> None:
        """Send what is left and stop, within limit_s whatever happens."""
        thread = self._thread
        if thread is None or not thread.is_alive():
            return
        self.transport.open_until = time.monotonic() + limit_s * 0.9
        self._closing = True
        self.wake()
        thread.join(limit_s)

    def abandon(self) -> None:
        """Forget everything, in a forked child: thread and connection are the parent's."""
        self.live, self.left = [], []
        self.transport.close()

    def _pause(self) -> None:
        if not self._closing:
            time.sleep(_PAUSE_S)

    def _run(self) -> None:
        every_s = min(TICK_S, self.settings.flush_s)
        while not self._closing:
            with contextlib.suppress(queue.Empty):
                self._woken.get(timeout=every_s)
            with _guard.guard("sender"):
                self.tick()
        with _guard.guard("sender"):
            self._last_words()
        self.transport.close()

    def tick(self) -> None:
        """Look at the spool once and send what is due."""
        if self.sampler is not None:
            self.sampler.sample()
        now = time.monotonic()
        for feed in list(self.live):
            with _guard.guard("fresh"):  # one stream's trouble is not the others'
                feed.source.make_ready(self._pause)
                feed.source.recorder.copy_rows(self._pause)
                self._fresh(feed, now)
        if now >= self._next_sync:
            self._next_sync = now + SYNC_S
            self._sync()
        if self._may_try():
            with _guard.guard("backlog"):
                self._backlog()
        self._tidy()
        if now >= self._next_adoption and self.settings.reporting:
            self._next_adoption = now + ADOPT_S
            for feed in self.live:
                with _guard.guard("keep_young"):
                    feed.source.recorder.spool.keep_young()
            with _guard.guard("adopt"):
                self.adopt()

    def _may_try(self) -> bool:
        return self.settings.reporting and time.monotonic() >= self._next_try

    def _fresh(self, feed: Feed, now: float) -> None:
        """Read what is new in a live stream and send it when it is due."""
        while True:
            full = feed.fill()
            self._write_rows(feed)
            ready = feed.ready
            if ready is None:
                return
            if not self.settings.reporting:
                feed.take_ready()
            elif not self._may_try():
                if not full:
                    return
                feed.take_ready()
                feed.put_off_whole(ready)
            elif full or self._due(feed, ready, now):
                self._post(feed, feed.take_ready())
            else:
                return
            if not full:
                return

    def _due(self, feed: Feed, ready: Batch, now: float) -> bool:
        return (
            ready.points >= self.settings.batch_points
            or now - ready.since >= self.settings.flush_s
            or self._closing
            or getattr(feed.source, "ended", True)
            or any(record.facts for record in ready.records)
        )

    def _post(self, feed: Feed, batch: Optional[Batch]) -> bool:
        """Send one batch; True when nothing of it is left to try again."""
        if batch is None or not batch.records:
            return True
        try:
            outcome = _delivery.deliver(self.transport, self._addressee(feed), batch.records)
        except Exception:  # a fault of ours costs a try, not the rows
            feed.put_off_whole(batch)
            self._back_off(0.0)
            raise
        for (first, last), points in outcome.lost:
            feed.lose(first, last, points)
        feed.put_off(batch, outcome.left)
        if outcome.failed:
            self._back_off(outcome.retry_after_s)
            return False
        self._failures = 0
        if outcome.tell_run:
            self._tell_run(feed)
        return True

    def _tell_run(self, feed: Feed) -> None:
        """Say again what the run is: it was deleted on the server, and goes on.

        Once for each answer that asks: if it is lost, the next rows are answered alike.
        """
        if "state" in feed.facts:
            said = feed.said_of_the_run()
            self.transport.post(
                "/wandb/metrics", _delivery.metrics_body(self._addressee(feed), [said])
            )
            self.detection.forget(feed)

    def _back_off(self, retry_after_s: float) -> None:
        self._failures += 1
        most = min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2.0 ** min(self._failures, 10))
        delay = random.uniform(BACKOFF_FIRST_S, most)  # noqa: S311 - spreads load, hides nothing
        self._next_try = time.monotonic() + max(delay, retry_after_s)

    def _backlog(self) -> None:
        """Send evidence, gaps and holes, oldest first, until fresh records wait or one fails."""
        for feed in self.live + self.left:
            if not self.detection.post_if_due(self.transport, feed, ended=self._closing):
                self._back_off(0.0)
                return
        until = time.monotonic() + TICK_S
        for feed in self.live + self.left:
            while self._may_try() and (time.monotonic() < until or self._closing):
                if feed in self.left:
                    feed.fill()
                batch = feed.take_ready() if feed in self.left else None
                batch = batch or feed.next_hole()
                if batch is None or not self._post(feed, batch):
                    break
            if feed.gaps and self._may_try():
                self._tell_gaps(feed)

    def _tell_gaps(self, feed: Feed) -> None:
        gaps = feed.gaps[:1000]
        body = _delivery.metrics_body(self._addressee(feed), [], gaps=gaps)
        verdict = self.transport.post("/wandb/metrics", body)
        if verdict.kind == _transport.RETRY:
            self._back_off(verdict.retry_after_s)
        else:  # taken, or never to be taken: asking for ever would help nobody
            del feed.gaps[: len(gaps)]

    def _addressee(self, feed: Feed) -> _delivery.Addressee:
        found = self.delivery.get(feed.stream)
        if found is None:
            identity = _identity.from_plain(feed.head["identity"])
            found = self.delivery[feed.stream] = _delivery.Addressee(
                feed.stream,
                _delivery.opening(identity.address(), feed.head["run_id"]),
                feed.head.get("opened_at", 0.0),
                identity.place(),
            )
        return found

    def _tidy(self) -> None:
        """Delete what was delivered."""
        for feed in list(self.live):
            with _guard.guard("tidy"):
                feed.settle()
                if feed.source.ended and feed.idle() and not feed.fill() and feed.idle():
                    self._drop(self.live, feed)
        for feed in list(self.left):
            with _guard.guard("tidy"):
                feed.settle()
                if not feed.fill() and feed.idle() and self._mark_crashed(feed):
                    self._drop(self.left, feed)

    def _drop(self, feeds: list[Feed], feed: Feed) -> None:
        feeds.remove(feed)
        self.delivery.pop(feed.stream, None)
        self.detection.forget(feed)
        feed.source.remove()

    def _mark_crashed(self, feed: Feed) -> bool:
        """Say that a run whose process is gone without finishing it has crashed."""
        if not feed.head.get("owned") or feed.at.reading.ended:
            return True
        if not self._may_try():
            return False
        to = self._addressee(feed)
        crashed = {"state": "crashed", "attempt": to.attempt}
        body = _delivery.metrics_body(to, [], run=crashed)
        verdict = self.transport.post("/wandb/metrics", body)
        if verdict.kind == _transport.RETRY:
            self._back_off(verdict.retry_after_s)
        return verdict.kind != _transport.RETRY

    def adopt(self) -> None:
        """Take over the streams dead processes have left for the same server."""
        for orphan in _adopt.orphans(self.settings.spool_dir, self._is_own):
            head = orphan.head() or {}
            known = head.get("base_url") == self.transport.base_url
            if known and self.heir_of in ("", head.get("family")):
                self._take_over(orphan, head)
            else:
                orphan.close()

    def _is_own(self, stream: str) -> bool:
        return any(feed.stream == stream for feed in self.live + self.left)

    def _take_over(self, orphan: _adopt.Orphan, head: dict[str, Any]) -> None:
        feed = Feed(orphan, head, self._pause)
        self._watch_damage(feed)
        feed.resume(*orphan.start())
        self.left.append(feed)

    def drain(self, orphan: _adopt.Orphan, head: dict[str, Any], until: float) -> bool:
        """Deliver one orphan in this thread; False if it is not all delivered by then."""
        self._take_over(orphan, head)
        while self.left and time.monotonic() < until:
            wait = self._next_try - time.monotonic()
            if wait > 0:
                time.sleep(min(wait, max(until - time.monotonic(), 0.0)))
            self._backlog()
            self._tidy()
        for feed in self.left:
            feed.source.close()
        self.transport.close()
        return not self.left

    def _watch_damage(self, feed: Feed) -> None:
        feed.damaged = lambda name, data: _adopt.quarantine(self.settings.spool_dir, name, data)

    def _sync(self) -> None:
        for feed in self.live:
            if feed.source.segments and feed.at.seq > feed.synced_seq:
                feed.synced_seq = feed.at.seq
                with _guard.guard("sync"):
                    feed.source.sync(self._pause)

    def _write_rows(self, feed: Feed) -> None:
        if not feed.rows:
            return
        rows, feed.rows = feed.rows, []
        with _guard.guard("local_file"):
            identity = _identity.from_plain(feed.head["identity"])
            path = _local_file.path_for(self.settings.output_path, identity)
            run_id = feed.head["run_id"]
            _local_file.append(path, [_local_file.line(run_id, *row) for row in rows])

    def _last_words(self) -> None:
        """Before exit: everything fresh, then backlog, while time is left; one failure ends it."""
        self._next_try = 0.0
        for feed in list(self.live):
            feed.source.recorder.copy_rows(self._pause, last=True)
            self._fresh(feed, time.monotonic())
        if self._may_try():
            self._backlog()
        self._tidy()
        if self.heir_of and self._may_try():
            self.adopt()
            self._backlog()
            self._tidy()
        for feed in list(self.live):
            if feed.idle() and not feed.head.get("owned"):
                feed.source.remove()
        _health.add("exit_clean", int(not self.live))
