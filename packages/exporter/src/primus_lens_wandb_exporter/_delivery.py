"""Records become requests: bodies, idempotency keys, and what to do with each verdict."""

import json
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from primus_lens_wandb_exporter import __version__, _health, _points, _transport, _unspool
from primus_lens_wandb_exporter._unspool import Record

_TIMES = ("timestamp", "attempt", "started_at", "ended_at")
POINTS_A_REQUEST = 5000  # the protocol allows 10,000; half keeps a body near 0.5 MB
Range = tuple[int, int]


class Addressee(NamedTuple):
    """Whose records these are.

    opening: the fields a report opens with, as JSON text without braces. attempt: when this process
    opened the run, Unix seconds; what is said of a run carries it, so that a late word about an
    earlier attempt does not overrule a later one.
    """

    stream: str
    opening: str
    attempt: float
    place: dict[str, Any]


class Outcome:
    """What became of a batch. left: the ranges to try again. lost: (range, points) for good.

    tell_run: the server asks what the run is.
    """

    def __init__(self) -> None:
        self.left: list[Range] = []
        self.lost: list[tuple[Range, int]] = []
        self.retry_after_s = 0.0
        self.failed = False
        self.tell_run = False


def deliver(transport: _transport.Transport, to: Addressee, records: Sequence[Record]) -> Outcome:
    """Post these records, in as many requests as their gaps and the server's verdicts ask for.

    A key claims every record from its first to its last, so one request never spans a lost record.
    """
    outcome = Outcome()
    for run in _unspool.unbroken(records):
        _deliver(transport, to, run, outcome)
    return outcome


def _deliver(
    transport: _transport.Transport, to: Addressee, records: Sequence[Record], outcome: Outcome
) -> None:
    if not records:
        return
    if outcome.failed:
        outcome.left.append((records[0].seq, records[-1].seq))
        return
    first, last = records[0].seq, records[-1].seq
    verdict = transport.post(
        "/wandb/metrics", metrics_body(to, records), f"{to.stream}/{first}-{last}"
    )
    _health.add(f"posted_{verdict.kind}")
    if verdict.kind == _transport.ACCEPTED:
        outcome.tell_run = outcome.tell_run or verdict.tell_run
        return
    if verdict.kind == _transport.KNOWN:
        _deliver_others(transport, to, records, outcome, verdict.known)
    elif verdict.kind == _transport.RETRY or _envelope_is_bad(transport, to, verdict):
        outcome.failed = True
        outcome.retry_after_s = verdict.retry_after_s
        outcome.left.append((first, last))
    elif verdict.kind == _transport.DROP:
        outcome.lost.append(((first, last), sum(len(r.points) for r in records)))
    elif len(records) > 1:
        middle = len(records) // 2
        _deliver(transport, to, records[:middle], outcome)
        _deliver(transport, to, records[middle:], outcome)
    elif verdict.kind == _transport.SPLIT and len(records[0].points) > 1:
        _deliver_in_parts(transport, to, records[0], outcome)
    else:
        outcome.lost.append(((first, last), len(records[0].points)))


def _deliver_others(
    transport: _transport.Transport,
    to: Addressee,
    records: Sequence[Record],
    outcome: Outcome,
    known: Sequence[Range],
) -> None:
    """Send the runs of records the server does not have yet, each in a request of its own."""
    run: list[Record] = []
    sent_all = True
    for record in records:
        if any(first <= record.seq <= last for first, last in known):
            _deliver(transport, to, run, outcome)
            run = []
            sent_all = False
        else:
            run.append(record)
    if sent_all:  # the server contradicts itself: asking at once again would never end
        outcome.failed = True
        outcome.left.append((records[0].seq, records[-1].seq))
        return
    _deliver(transport, to, run, outcome)


def _deliver_in_parts(
    transport: _transport.Transport, to: Addressee, record: Record, outcome: Outcome
) -> None:
    """Send one record too large for a request in pieces without a key.

    A key stands for whole records; without one the same step and values change nothing, so the
    pieces may be repeated.
    """
    middle = len(record.points) // 2
    for points in (record.points[:middle], record.points[middle:]):
        part = record._replace(points=points)
        verdict = transport.post("/wandb/metrics", metrics_body(to, [part]))
        if verdict.kind == _transport.SPLIT and len(points) > 1:
            _deliver_in_parts(transport, to, part, outcome)
        elif verdict.kind == _transport.RETRY:
            outcome.failed = True
            outcome.retry_after_s = verdict.retry_after_s
            outcome.left.append((record.seq, record.seq))
        elif verdict.kind != _transport.ACCEPTED:
            outcome.lost.append(((record.seq, record.seq), len(points)))
        if outcome.failed:
            return


def _envelope_is_bad(
    transport: _transport.Transport, to: Addressee, verdict: _transport.Verdict
) -> bool:
    """Say whether the server refuses even a report without records.

    Then no record is to blame, and looking for a bad one would throw all of them away.
    """
    if verdict.kind != _transport.POISON:
        return False
    return transport.post("/wandb/metrics", metrics_body(to, [])).kind != _transport.ACCEPTED


def metrics_body(to: Addressee, records: Sequence[Record], **more: Any) -> bytes:
    """Return the body of POST /wandb/metrics for these records.

    more: further fields, such as gaps.
    """
    points = ",".join(",".join(record.points) for record in records if record.points)
    fields: dict[str, Any] = {"timestamp": time.time(), **more}
    facts: dict[str, Any] = {}
    definitions: dict[str, dict[str, Any]] = {}
    for record in records:
        facts.update(record.facts or {})
        definitions.update((said["name"], said) for said in record.definitions)
    if facts:
        facts["attempt"] = to.attempt
        fields["run"] = {**facts, **to.place} if "state" in facts else facts
    if definitions:
        fields["definitions"] = list(definitions.values())
    dropped = _health.losses()
    if dropped or facts:
        fields["exporter"] = {"version": __version__, "dropped": dropped}
    if "run" in fields:
        fields["run"] = _at_usable_times(fields["run"])
    rest = json.dumps(_at_usable_times(fields))[1:-1]  # "" when an absurd clock left nothing
    return "".join(("{", to.opening, ',"metrics":[', points, "]", rest and ",", rest, "}")).encode()


def _at_usable_times(fields: dict[str, Any]) -> dict[str, Any]:
    """Leave out the times an absurd clock gave: the server would refuse everything beside them."""
    return {n: v for n, v in fields.items() if n not in _TIMES or _points.is_time(v)}


def opening(address: dict[str, str], run_id: str) -> str:
    """Return the fields every report of a run opens with, as JSON text without braces."""
    fields = {"source": "wandb", **address, "run_id": run_id}
    return json.dumps(fields)[1:-1]
