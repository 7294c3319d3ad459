"""When evidence is collected and posted: at the first row, a minute later, and at the end.

Frameworks may be loaded after wandb.init, so a second look is worth one request; none is sent when
no module was loaded since.
"""

import json
import time
from collections.abc import Mapping
from typing import Any

from primus_lens_wandb_exporter import _evidence, _guard, _health, _identity, _points, _transport

AGAIN_S = 60.0
RETRY_S = 10.0


class Detection:
    """What was posted, by stream: (number of modules then, monotonic time of the next look)."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._seen: dict[str, tuple[int, float]] = {}

    def post_if_due(self, transport: _transport.Transport, feed: Any, *, ended: bool) -> bool:
        """Post the evidence of a live run when it is time; False if the server did not answer.

        A server that answers, but takes no evidence, must not keep the points waiting.
        """
        if not hasattr(feed.source, "ended") or "state" not in feed.facts:
            return True
        modules, due = self._seen.get(feed.stream, (-1, 0.0))
        now = time.monotonic()
        if not (now >= due or ended or feed.source.ended):
            return True
        size = _evidence.module_set_size()
        if size == modules:
            self._seen[feed.stream] = (size, now + AGAIN_S)
            return True
        body = None
        with _guard.guard("evidence"):
            body = self._body(feed)
        if body is None:  # our fault, and perhaps a passing one: look again, hold nothing up
            self._seen[feed.stream] = (modules, now + RETRY_S)
            return True
        verdict = transport.post("/wandb/detection", body)
        if verdict.kind == _transport.RETRY:
            self._seen[feed.stream] = (modules, now + RETRY_S)
            return bool(verdict.status)
        _health.add("detections")
        self._seen[feed.stream] = (size, now + AGAIN_S)
        return True

    def forget(self, feed: Any) -> None:
        """Drop what is kept for a stream that is gone."""
        self._seen.pop(feed.stream, None)

    def _body(self, feed: Any) -> bytes:
        facts = {**feed.facts, "id": feed.head["run_id"]}
        found = _evidence.collect(self._env, facts)
        report = {
            "source": "wandb",
            "type": "framework_detection_raw",
            "version": "1.0",
            **_identity.from_plain(feed.head["identity"]).address(),
            **found,
        }
        now = time.time()
        report.update({"timestamp": now} if _points.is_time(now) else {})
        return json.dumps(report).encode()
