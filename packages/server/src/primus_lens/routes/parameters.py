"""The query parameters that reading endpoints share, and what they mean together."""

import math
from collections.abc import Callable
from typing import Annotated

import msgspec
from fastapi import Query

from primus_lens.model import errors
from primus_lens.query.drawing import View
from primus_lens.store.points_read import Span

BIGINT = 2**63 - 1

Source = Annotated[str, Query(max_length=50, description="Only this data source.")]
Cluster = Annotated[str, Query(description="A configured data plane; this server's own if empty.")]
Metrics = Annotated[
    str, Query(description='Names: "a,b", "{a,b}", "all" or nothing for every metric.')
]
Metric = Annotated[
    list[str] | None, Query(description="One name; may be repeated. For names that hold commas.")
]
Several = Annotated[list[str] | None, Query(description="Any of these; may be repeated.")]
Runs = Annotated[
    list[str] | None, Query(description="Only this run, by serial or run_id; may be repeated.")
]
Start = Annotated[int | None, Query(ge=-BIGINT, le=BIGINT, description="Unix ms, included.")]
End = Annotated[int | None, Query(ge=-BIGINT, le=BIGINT, description="Unix ms, included.")]
Bound = Annotated[
    float | None,
    Query(description="Of the x axis, included: a step, Unix ms for x=time, or a value of x."),
]
MaxPoints = Annotated[int | None, Query(ge=4, le=100_000, description="Thin to about so many.")]
Along = Annotated[
    str, Query(max_length=255, description='Over what: "step", "time" or the name of a metric.')
]


class Drawn:
    """How curves are asked for: which part of which axis, how thin, with what beside them."""

    def __init__(  # noqa: PLR0917 - FastAPI passes query parameters by name
        self,
        x: Along = "step",
        max_points: MaxPoints = None,
        from_x: Bound = None,
        to_x: Bound = None,
        replaced: Annotated[bool, Query(description="Also what was overwritten.")] = False,  # noqa: FBT002 - FastAPI passes it by name
        envelope: Annotated[bool, Query(description="Also each bucket's extremes.")] = False,  # noqa: FBT002 - as above
    ) -> None:
        for name, bound in (("from_x", from_x), ("to_x", to_x)):
            if bound is not None and math.isnan(bound):
                raise errors.BadQuery.of(name, "NaN", "a number")
        self._low, self._high = from_x, to_x
        self.view = View(x, max_points, replaced=replaced, envelope=envelope)
        if self.view.metric is not None:
            self.view = msgspec.structs.replace(self.view, low=from_x, high=to_x)

    def of_curves_alone(self) -> dict[str, object]:
        """What a file of all points cannot be asked for, by parameter."""
        return {
            "max_points": self.view.most,
            "x": self.view.metric,
            "replaced": self.view.replaced,
            "envelope": self.view.envelope,
        }

    def zoomed(self, span: Span) -> Span:
        """The part of a span between the two places on the x axis."""
        low = None if self._low is None else _whole(math.ceil, self._low)
        high = None if self._high is None else _whole(math.floor, self._high)
        if self.view.axis == "step":
            return msgspec.structs.replace(span, from_step=low, to_step=high)
        if self.view.axis != "time":
            return span
        starts = [each for each in (span.start_ms, low) if each is not None]
        ends = [each for each in (span.end_ms, high) if each is not None]
        return msgspec.structs.replace(
            span, start_ms=max(starts, default=None), end_ms=min(ends, default=None)
        )


class Wanted:
    """Which points are asked for."""

    def __init__(  # noqa: PLR0917 - FastAPI passes query parameters by name
        self,
        data_source: Source = "",
        metrics: Metrics = "",
        metric: Metric = None,
        run: Runs = None,
        start: Start = None,
        end: End = None,
    ) -> None:
        self.metrics = metrics
        self.repeated = metric or []
        self._anywhere = Span("", data_source, start, end, runs=tuple(run or ()))

    def span(self, uid: str) -> Span:
        """The points of a workload that are asked for."""
        return msgspec.structs.replace(self._anywhere, workload_uid=uid)


def _whole(rounded: Callable[[float], int], bound: float) -> int:
    """The nearest step or millisecond within a bound, and within PostgreSQL's bigint."""
    return max(-BIGINT, min(BIGINT, rounded(max(-1e19, min(1e19, bound)))))
