"""One source on its way to the server, in requests that can be repeated without effect.

Comes after batches. Each request carries `Idempotency-Key: <stream>/<first>-<last>`; the stream is
named after what is imported, so an import that was cut off goes on where it stopped, and one that
is repeated changes nothing.
"""

import gzip
import hashlib
import random
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from primus_lens.client.connection import Connection, LensApiError
from primus_lens.importing.batches import Batch, batches
from primus_lens.importing.records import ImportFailed, Point, Source

PATIENCE_S = 60.0  # how long a server may be away before the import stops

_READING = 1  # raise it when the same file gives other points, so that they are sent anew
_PATH = "/wandb/metrics"
_LATER = frozenset({408, 425, 429})
_OF_ONE_RECORD = frozenset({400, 413, 422})
_PARTLY_KNOWN = 409
_DEFECT = 500
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 8.0
_STILL_WRITTEN_S = 600.0  # a file that changed within it may belong to a run that goes on


class MetricsReport(msgspec.Struct, omit_defaults=True):
    """Body of POST /api/v1/wandb/metrics, as far as an import has something to say."""

    source: str
    workload_uid: str
    run_id: str
    metrics: list[Point]
    run: dict[str, Any] | None = None
    definitions: list[dict[str, Any]] = msgspec.field(default_factory=list)


class Delivered(msgspec.Struct, frozen=True):
    """What became of a batch. points: it held; known: of these, the server had already."""

    points: int
    known: int = 0


class Delivery:
    """Sends sources to one workload. patience_s: how long to try a server that is away."""

    def __init__(
        self, connection: Connection, workload_uid: str, *, patience_s: float = PATIENCE_S
    ) -> None:
        self._connection = connection
        self._workload_uid = workload_uid
        self._patience_s = patience_s

    def deliver(self, source: Source) -> Iterator[Delivered]:
        """Send a source from its start, a request for each step of the iteration.

        Raises ImportFailed for the file's sake; LensApiError when the server refuses us or stays
        away.
        """
        stream = self.stream(source)
        for batch in batches(source.records()):
            yield self._delivered(source, stream, batch)
        self._tell_facts(source)

    def stream(self, source: Source) -> str:
        """The name under which the server remembers what it has of a source."""
        parts = [str(_READING), source.data_source, self._workload_uid, source.run_id]
        digest = hashlib.sha256("\0".join(parts).encode() + b"\0" + source.identity)
        return f"import-{digest.hexdigest()[:40]}"

    def _delivered(self, source: Source, stream: str, batch: Batch) -> Delivered:
        points = batch.points
        key = f"{stream}/{batch.first}-{batch.last}"
        report = MetricsReport(source.data_source, self._workload_uid, source.run_id, points)
        try:
            answer = self._post(report, {"Idempotency-Key": key})
        except LensApiError as error:
            if error.status == _PARTLY_KNOWN:
                rest = list(batch.without(error.accepted))
                if any(each.first == batch.first and each.last == batch.last for each in rest):
                    raise ImportFailed(
                        f"the server has {source.path} in other parts than it is read in now"
                    ) from error
                done = [self._delivered(source, stream, each) for each in rest]
                sent = sum(each.points for each in done)
                known = len(points) - sent + sum(each.known for each in done)
                return Delivered(len(points), known)
            if error.status in _OF_ONE_RECORD:
                halves = list(batch.halves())
                if not halves:  # the one record that the server does not take
                    source.account.refused += len(points)
                done = [self._delivered(source, stream, half) for half in halves]
                return Delivered(len(points), sum(each.known for each in done))
            raise
        return Delivered(len(points), len(points) if answer.get("replayed") else 0)

    def _tell_facts(self, source: Source) -> None:
        """What the run is and how it ended. Needs no key: told twice is told once."""
        definitions = list(source.account.definitions.values())
        report = MetricsReport(source.data_source, self._workload_uid, source.run_id, [])
        report.run, report.definitions = closing_facts(source, now=time.time()), definitions
        try:
            self._post(report, {})
        except LensApiError as error:
            if error.status not in _OF_ONE_RECORD:
                raise
            report.run.pop("config", None)  # the part that may hold anything
            self._post(report, {})

    def _post(self, report: MetricsReport, headers: dict[str, str]) -> Any:  # noqa: ANN401 - JSON
        body = gzip.compress(msgspec.json.encode(report), compresslevel=1, mtime=0)
        headers = {"Content-Encoding": "gzip", **headers}
        give_up_at = time.monotonic() + self._patience_s
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                return self._connection.post(_PATH, body, headers)
            except LensApiError as error:
                away = error.status is None or error.status in _LATER or error.status >= _DEFECT
                if not away:
                    raise
                if time.monotonic() + wait_s > give_up_at:
                    raise LensApiError(
                        f"{error.message}; run the same command again to go on where it stopped",
                        status=error.status,
                        code=error.code,
                    ) from error
                time.sleep(max(random.uniform(0, wait_s), error.retry_after_s or 0))  # noqa: S311
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)


def closing_facts(source: Source, *, now: float) -> dict[str, Any]:
    """What a run says of itself once its file is read. now: Unix seconds.

    A file that tells no end belongs to a run that goes on, as long as it is written; after that a
    wandb run has crashed, since its end would be in the file, and any other is finished. `attempt`
    is the last moment the file speaks of: past the start of a live report of this very run, which
    the file may complete, and before that of a later one, which it must not overrule.
    """
    facts = dict(source.account.facts)
    if "state" not in facts:
        written_at = source.path.stat().st_mtime
        silent = "crashed" if source.data_source == "wandb" else "finished"
        facts["state"] = "running" if now - written_at < _STILL_WRITTEN_S else silent
    if facts["state"] == "running":
        facts.pop("ended_at", None)
    elif "ended_at" in facts:
        facts.setdefault("attempt", facts["ended_at"])
    return facts
