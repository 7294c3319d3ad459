"""Messages become reports: whose they are, when each point was, which step it belongs to.

Comes after wire, before intake. Pure: the moment of arrival is passed in.
"""

import math
from collections.abc import Iterable
from typing import Any

import msgspec

from primus_lens.ingest import clocks, wire
from primus_lens.model import errors
from primus_lens.model.points import Gap, RecordRange, Report, Row, RunId, Sender, same


def sender_of(message: Any) -> Sender:  # noqa: ANN401 - any of the four messages
    """Whose message it is. Raises UnknownWorkload when it names neither workload nor pod."""
    if not (message.workload_uid or message.pod_name or message.pod_uid):
        raise errors.UnknownWorkload(
            "no valid workload found: the report names neither workload_uid nor pod_name; "
            "set WORKLOAD_UID or POD_NAME in the training container"
        )
    return Sender(message.workload_uid, message.pod_uid, message.pod_name, message.namespace)


def admit_metrics(
    message: wire.MetricsReport, *, size_bytes: int, now: float, records: RecordRange | None = None
) -> Report:
    """The rows of a metrics report. now: Unix seconds of its arrival, for points without a time."""
    arrival = now if message.timestamp is None else message.timestamp
    points = (
        (m.step, m.name, m.value, arrival if m.timestamp is None else m.timestamp)
        for m in message.metrics
    )
    report = _report(message, points, len(message.metrics), size_bytes, records, now=now)
    return msgspec.structs.replace(
        report,
        run_facts=msgspec.to_builtins(message.run) if message.run else {},
        definitions=[msgspec.to_builtins(each) for each in message.definitions],
        gaps=[Gap(g.first, g.last, g.reason, g.points) for g in message.gaps],
    )


def admit_logs(
    message: wire.LogsReport, *, size_bytes: int, now: float, records: RecordRange | None = None
) -> Report:
    """The rows of a training data report, as `admit_metrics`."""
    arrival = now if message.timestamp is None else message.timestamp
    points = (
        (row.step, name, value, arrival if row.timestamp is None else row.timestamp)
        for row in message.logs
        for name, value in row.data.items()
    )
    return _report(message, points, len(message.logs), size_bytes, records, now=now)


def _report(
    message: wire.Addressed,
    points: Iterable[tuple[int, str, Any, float]],
    count: int,
    size_bytes: int,
    records: RecordRange | None,
    *,
    now: float,
) -> Report:
    run_id = RunId(message.run_id)
    return Report(
        sender=sender_of(message),
        rows=_rows(points, run_id=run_id, data_source=message.source),
        points=count,
        size_bytes=size_bytes,
        records=records,
        # Only numbered reports tell for certain when they were sent: others may be sent again as
        # they were.
        behind_s=clocks.behind_s(message.timestamp, now=now) if records else 0.0,
        run_id=run_id,
        data_source=message.source,
    )


def _rows(
    points: Iterable[tuple[int, str, Any, float]], *, run_id: RunId, data_source: str
) -> list[Row]:
    """Points gathered by step, in the order of arrival.

    A name that comes again at its step with another value opens a new row: the first value is
    overwritten later, by the store, which keeps it as history.
    """
    rows: list[Row] = []
    open_rows: dict[int, Row] = {}
    for step, name, value, at in points:
        row = open_rows.get(step)
        if row is None or (name in row.metrics and not same(row.metrics[name], storable(value))):
            row = Row(run_id, data_source, step, at, {}, {})
            open_rows[step] = row
            rows.append(row)
        if name in row.metrics:  # told twice is told once: the first time stands
            continue
        row.metrics[name] = storable(value)
        if at != row.at:
            row.times[name] = at
    return rows


def storable(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The value as JSONB can hold it: PostgreSQL's numeric knows no negative zero."""
    if isinstance(value, float) and value == 0 and math.copysign(1, value) < 0:
        return "-0.0"
    return value
