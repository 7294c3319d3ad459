"""What Grafana's JSON data source plug-ins send: bodies to targets, or words on what is wrong.

Two plug-ins, SimpleJson and simPod's JSON API, send nearly the same; what neither needs is ignored.
Pure; comes between routes/grafana and query/panels.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from primus_lens.ingest import wire
from primus_lens.model import errors
from primus_lens.query.panels import Range, Shape, Target

T = TypeVar("T")

DEFAULT_BUCKETS = 1_000  # of a curve, when a client does not say how wide its panel is
MOST_TARGETS = 100  # of a panel
SCOPES = ("workload_uid", "data_source", "run_id")
"""What narrows a query: as ad hoc filter, dashboard variable or payload."""

_SHAPES: Mapping[str, Shape] = {
    "timeserie": "series",
    "timeseries": "series",
    "table": "long",
    "wide": "wide",
}


class TimeRange(msgspec.Struct):
    """ISO 8601, as `2026-01-01T00:00:00.000Z`."""

    start: str = msgspec.field(name="from", default="")
    end: str = msgspec.field(name="to", default="")


class Filter(msgspec.Struct):
    """An ad hoc filter."""

    key: str
    value: str
    operator: str = "="


class TargetBody(msgspec.Struct):
    """One query of a panel. payload: simPod's; data: the same in its old versions."""

    target: str | int | float | None = None
    type: str | None = None
    hide: bool | None = None
    payload: Any = None
    data: Any = None


class QueryBody(msgspec.Struct):
    """Body of POST query."""

    targets: list[TargetBody]
    range: TimeRange | None = None
    maxDataPoints: float | None = None  # noqa: N815 - the client's spelling
    scopedVars: dict[str, Any] | None = None  # noqa: N815
    variables: dict[str, Any] | None = None
    adhocFilters: list[Filter] | None = None  # noqa: N815
    filters: list[Filter] | None = None


class SearchBody(msgspec.Struct):
    """Body of POST search."""

    target: str | None = ""


class AnnotationsBody(msgspec.Struct):
    """Body of POST annotations; the annotation goes back as it came."""

    annotation: dict[str, Any]
    range: TimeRange | None = None


class TagValuesBody(msgspec.Struct):
    """Body of POST tag-values."""

    key: str


class MetricBody(msgspec.Struct):
    """Body of simPod's POST metrics and metric-payload-options; name: of the payload's field."""

    metric: str | int | float | None = ""
    payload: Any = None
    name: str | None = ""


class VariableBody(msgspec.Struct):
    """Body of simPod's POST variable."""

    payload: Any = None


def decoded(kind: type[T], body: bytes) -> T:
    """A body as its type; an empty one is {}. Raises MalformedBody, InvalidField."""
    return wire.decode_question(kind, body or b"{}")


def panel(body: QueryBody, workload_uid: str) -> tuple[list[Target], Range]:
    """What a panel asks for. workload_uid: the address's, "" when it names none."""
    if len(body.targets) > MOST_TARGETS:
        raise errors.InvalidField.of("targets", len(body.targets), f"at most {MOST_TARGETS}")
    given = _filters(body)
    for name in SCOPES:
        for variables in (body.variables or {}, body.scopedVars or {}):
            if name not in given and (values := _values(variables.get(name))):
                given[name] = values
    asked = [
        _target(place, each, given, workload_uid)
        for place, each in enumerate(body.targets)
        if not each.hide and str(each.target or "").strip()
    ]
    start_ms, end_ms = bounds(body.range)
    return asked, Range(start_ms, end_ms, _buckets(body.maxDataPoints))


def _target(
    place: int, body: TargetBody, given: Mapping[str, Sequence[str]], workload_uid: str
) -> Target:
    payload = body.payload if isinstance(body.payload, dict) else body.data
    payload = payload if isinstance(payload, dict) else {}
    own = {name: values for name in SCOPES if (values := _values(payload.get(name)))}
    scope = {**given, **own}
    kind = str(payload.get("format") or body.type or "timeserie")
    if kind not in _SHAPES:
        raise errors.InvalidField.of(f"targets[{place}].type", kind, " or ".join(_SHAPES))
    return Target(
        text=str(body.target),
        shape=_SHAPES[kind],
        workloads=(workload_uid,) if workload_uid else tuple(scope.get("workload_uid", ())),
        sources=tuple(scope.get("data_source", ())),
        runs=tuple(scope.get("run_id", ())),
    )


def _filters(body: QueryBody) -> dict[str, list[str]]:
    given: dict[str, list[str]] = {}
    for place, each in enumerate([*(body.adhocFilters or ()), *(body.filters or ())]):
        if each.key not in SCOPES:
            raise errors.InvalidField.of(
                f"adhocFilters[{place}].key", each.key, " or ".join(SCOPES)
            )
        if each.operator != "=":
            raise errors.InvalidField.of(f"adhocFilters[{place}].operator", each.operator, "=")
        given.setdefault(each.key, []).append(each.value)
    return given


def _values(variable: Any) -> list[str]:  # noqa: ANN401 - a JSON value
    """What a variable stands for: text, a list, or Grafana's {"text": …, "value": …} of either."""
    if isinstance(variable, dict):
        variable = variable.get("value")
    if isinstance(variable, str):
        return [variable] if variable else []
    if isinstance(variable, list):
        return [each for each in variable if isinstance(each, str) and each]
    return []


def scope(payload: Any, name: str) -> list[str]:  # noqa: ANN401 - a JSON value
    """What a payload says of one of SCOPES."""
    return _values(payload.get(name)) if isinstance(payload, dict) else []


def _buckets(points: float | None) -> int:
    if points is None:
        return DEFAULT_BUCKETS
    if not points >= 1:
        raise errors.InvalidField.of("maxDataPoints", points, "1 or more")
    return int(min(points, 1e9))


def bounds(span: TimeRange | None) -> tuple[int | None, int | None]:
    """The ends of a range in Unix milliseconds, None where it is open."""
    if span is None:
        return None, None
    return _moment("range.from", span.start), _moment("range.to", span.end)


def _moment(field: str, text: str) -> int | None:
    if not text:
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=dt.UTC)
        return round(moment.timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise errors.InvalidField.of(
            field, text, "a moment as in 2026-01-01T00:00:00.000Z"
        ) from error
