"""Curves in the shapes Grafana's JSON data sources draw: series, long and wide tables.

Comes after routes/grafana; asks query/curves for the points and query/targets what a text means.
Every answer is in order of time, and a value that JSON has no number for is null.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from primus_lens.model import errors
from primus_lens.query import curves, targets, thinning
from primus_lens.query.drawing import Curve
from primus_lens.store import grafana
from primus_lens.store.database import Database
from primus_lens.store.points_read import Span

Shape = Literal["series", "long", "wide"]

MOST_CURVES = 500  # of an answer; a panel of more shows nothing to anybody
MOST_BUCKETS = 250_000  # of an answer: a million points, some 30 MB of JSON
MOST_CELLS = 2_000_000  # of a wide table, most of which may be empty
MOST_NAMES = 10_000  # of a list to choose from
WORKLOAD_MARK = "::"  # between a workload and a metric, where the address names no workload

_LONG = (
    ("Time", "time"),
    ("Metric", "string"),
    ("Value", "number"),
    ("Step", "number"),
    ("Run", "string"),
    ("Source", "string"),
    ("Workload", "string"),
)


class Target(msgspec.Struct, frozen=True):
    """One query of a panel.

    text: what it asks for, as it came. workloads, sources, runs: which, as they came; empty means
    not said for workloads, and any for the other two.
    """

    text: str
    shape: Shape
    workloads: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()


class Range(msgspec.Struct, frozen=True):
    """Which time: Unix milliseconds, both included. buckets: of a curve, each with its extremes."""

    start_ms: int | None
    end_ms: int | None
    buckets: int


class _Meant(msgspec.Struct, frozen=True):
    """A target with the names it means, by workload."""

    target: Target
    names: dict[str, list[str]]


class Drawn(msgspec.Struct, frozen=True):
    """A curve with its workload and the name it is shown under."""

    workload_uid: str
    label: str
    curve: Curve


async def answer(database: Database, asked: Sequence[Target], span: Range) -> list[Any]:
    """What the targets of a panel get, in their order. Raises InvalidField for one too broad."""
    meant = [await _meant(database, target) for target in asked]
    count = sum(len(names) for each in meant for names in each.names.values())
    if count > MOST_CURVES:
        raise errors.InvalidField.of("targets", count, f"at most {MOST_CURVES} curves in all")
    buckets = max(1, min(span.buckets, MOST_BUCKETS // max(count, 1)))
    wanted: dict[str, dict[str, None]] = {}
    for each in meant:
        for workload, names in each.names.items():
            wanted.setdefault(workload, {}).update(dict.fromkeys(names))
    found = {
        workload: await curves.columns(
            database,
            Span(workload, "", span.start_ms, span.end_ms),
            list(names),
            axis="time",
            most=thinning.PER_BUCKET * buckets,
        )
        for workload, names in wanted.items()
    }
    # 500 curves of 1,000 buckets take a second; other requests must not wait for them.
    return await asyncio.to_thread(_shaped, meant, found)


async def _meant(database: Database, target: Target) -> _Meant:
    if target.workloads:
        workloads = await known_workloads(database, target.workloads)
        return _Meant(target, await _metrics(database, workloads, target.text))
    for before, after in targets.splits(target.text, WORKLOAD_MARK):
        workloads = await known_workloads(database, [before])
        names = await _metrics(database, workloads, after) if workloads else {}
        if names:
            return _Meant(target, names)
    if WORKLOAD_MARK in target.text:
        return _Meant(target, {})
    raise errors.InvalidField.of(
        "target",
        target.text,
        f"of a workload: in the address, as workload_uid in payload, scopedVars or adhocFilters, "
        f"or before the metric as <workload>{WORKLOAD_MARK}<metric>",
    )


async def known_workloads(database: Database, texts: Sequence[str]) -> list[str]:
    """The workloads that some texts mean, of those that have reported."""
    possible = {name for text in texts for name in targets.candidates(text)}
    async with database.connection() as connection:
        known = await grafana.known_workloads(connection, possible)
    found = [name for text in texts for name in targets.resolved(text, known)]
    return list(dict.fromkeys(found))


async def metric_names(database: Database, workloads: Sequence[str]) -> dict[str, list[str]]:
    """The metrics of some workloads, by workload."""
    async with database.connection() as connection:
        found = await grafana.metric_names(connection, workloads, MOST_NAMES * len(workloads))
    names: dict[str, list[str]] = {}
    for workload, name in found:
        names.setdefault(workload, []).append(name)
    return names


async def asked_names(
    database: Database, workload_uid: str, metrics: str, repeated: Sequence[str]
) -> list[str] | None:
    """The metrics that a GET asks for, None for all. Raises StoreUnavailable.

    metrics: a name, `a,b`, or what Grafana makes of a variable (query/targets); "all" or "".
    repeated: names given one by one, which are taken as they are.
    """
    if repeated or metrics in {"", "all"}:
        return list(repeated) or None
    known = set((await metric_names(database, [workload_uid])).get(workload_uid, ()))
    return targets.resolved(metrics, known) or targets.resolved(f"{{{metrics}}}", known)


async def _metrics(database: Database, workloads: Sequence[str], text: str) -> dict[str, list[str]]:
    known = await metric_names(database, workloads)
    return {
        workload: found
        for workload in workloads
        if (found := targets.resolved(text, set(known.get(workload, ()))))
    }


def _shaped(meant: Sequence[_Meant], found: Mapping[str, Sequence[Curve]]) -> list[Any]:
    shaped: list[Any] = []
    for each in meant:
        lines = _labelled(
            [
                (workload, curve)
                for workload, names in each.names.items()
                for name in names
                for curve in found[workload]
                if curve.metric == name and _is_of(curve, each.target)
            ]
        )
        if each.target.shape == "series":
            shaped += [_series(line) for line in lines]
        else:
            shaped.append(_long(lines) if each.target.shape == "long" else _wide(lines))
    return shaped


def _is_of(curve: Curve, target: Target) -> bool:
    asked = (target.sources, curve.data_source), (target.runs, curve.run_id)
    return all(
        not texts or any(targets.resolved(text, (name,)) for text in texts) for texts, name in asked
    )


def _labelled(lines: Sequence[tuple[str, Curve]]) -> list[Drawn]:
    """Curves under names that tell them apart: the metric's, and more only where that is needed."""
    several_workloads = len({workload for workload, _ in lines}) > 1
    runs: dict[tuple[str, str], set[int]] = {}
    sources: dict[tuple[str, str], set[str]] = {}
    for workload, curve in lines:
        runs.setdefault((workload, curve.metric), set()).add(curve.serial)
        sources.setdefault((workload, curve.metric), set()).add(curve.data_source)
    drawn = []
    for workload, curve in lines:
        key = workload, curve.metric
        label = f"{workload} {curve.metric}" if several_workloads else curve.metric
        label += f" · run {curve.run_id}" if len(runs[key]) > 1 else ""
        label += f" · {curve.data_source}" if len(sources[key]) > 1 else ""
        drawn.append(Drawn(workload, label, curve))
    return drawn


def _series(line: Drawn) -> dict[str, Any]:
    curve = line.curve
    return {
        "target": line.label,
        "datapoints": list(map(list, zip(_numbers(curve), map(int, curve.time), strict=True))),
        "meta": {
            "workload_uid": line.workload_uid,
            "metric": curve.metric,
            "run_id": curve.run_id,
            "data_source": curve.data_source,
            "total": curve.total,
            "thinned": curve.thinned,
        },
    }


def _numbers(curve: Curve) -> list[float | None]:
    """The values; NaN and the infinities, which come as text, are null."""
    return [None if isinstance(value, str) else value for value in curve.value]


def _long(lines: Sequence[Drawn]) -> dict[str, Any]:
    rows: list[list[Any]] = [
        [int(at), curve.metric, value, step, curve.run_id, curve.data_source, line.workload_uid]
        for line in lines
        for curve in (line.curve,)
        for at, value, step in zip(curve.time, _numbers(curve), curve.step, strict=True)
    ]
    rows.sort(key=lambda row: row[0])
    return _table(_LONG, rows)


def _wide(lines: Sequence[Drawn]) -> dict[str, Any]:
    times = {int(at) for line in lines for at in line.curve.time}
    if len(times) * len(lines) > MOST_CELLS:
        raise errors.InvalidField.of(
            "targets",
            f"a wide table of {len(times)} rows and {len(lines)} columns",
            f"one of at most {MOST_CELLS} cells; ask for fewer metrics, a shorter range or a "
            "smaller maxDataPoints",
        )
    rows: dict[int, list[Any]] = {}
    for place, line in enumerate(lines, start=1):
        for at, value in zip(line.curve.time, _numbers(line.curve), strict=True):
            rows.setdefault(int(at), [int(at)] + [None] * len(lines))[place] = value
    columns = [("Time", "time"), *((line.label, "number") for line in lines)]
    return _table(columns, [rows[at] for at in sorted(rows)])


def _table(columns: Sequence[tuple[str, str]], rows: list[list[Any]]) -> dict[str, Any]:
    described = [{"text": text, "type": kind} for text, kind in columns]
    return {"type": "table", "columns": described, "rows": rows}
