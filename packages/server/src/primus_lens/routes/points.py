"""The points of one workload or of several, in every form they are asked for.

Comes before query/curves. The plain question for a workload's points answers as the specification
has it; the rest is asked for.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from primus_lens.model import errors
from primus_lens.query import curves, panels, tables
from primus_lens.query.drawing import Curve
from primus_lens.routes import answers, exports
from primus_lens.routes.parameters import Cluster, Drawn, Wanted
from primus_lens.routes.planes import Planes
from primus_lens.store.database import Database
from primus_lens.store.points_read import Span

MOST_WORKLOADS = 100  # of one question

Form = Literal["json", "columns", "csv", "ndjson", "parquet"]
Limit = Annotated[
    int | None, Query(ge=1, le=1_000_000, description="With json: a page of so many points.")
]
After = Annotated[str, Query(description="With json: the `next` of the page before.")]


class PointsEndpoints:
    """Points over some data planes."""

    def __init__(self, planes: Planes) -> None:
        self._planes = planes

    def add_to(self, routes: APIRouter) -> None:
        """Add the routes."""
        routes.add_api_route("/workloads/{uid:path}/metrics/data", self.of_one)
        routes.add_api_route("/metrics/data", self.of_several)

    async def of_one(  # noqa: PLR0917 - FastAPI passes query parameters by name
        self,
        request: Request,
        uid: str,
        wanted: Annotated[Wanted, Depends()],
        drawn: Annotated[Drawn, Depends()],
        cluster: Cluster = "",
        format: Form = "json",  # noqa: A002 - the parameter's public name
        layout: tables.Layout = "long",
        limit: Limit = None,
        after: After = "",
    ) -> Response:
        """Points in order of time; as curves, thinned if asked; or every point as a file."""
        database = self._planes[cluster]
        etag = answers.tag(await curves.version(database, uid), request.url.query)
        if answer := answers.known(request, etag):
            return answer
        span = drawn.zoomed(wanted.span(uid))
        names = await panels.asked_names(database, uid, wanted.metrics, wanted.repeated)
        if format == "json":
            page = curves.Page(limit, after)
            return await answers.streamed(
                span, curves.rows(database, span, names, page), etag, page
            )
        if format != "columns":
            part = await self._part(database, span, names, drawn)
            return await exports.streamed(database, [part], format, layout, etag)
        found = await curves.read(database, span, names, drawn.view)
        document = {"workload_uid": uid, "series": found.curves, "cursor": found.cursor}
        return answers.tagged(request, document, etag)

    async def of_several(  # noqa: PLR0917 - as above
        self,
        request: Request,
        workload: Annotated[list[str], Query(min_length=1, max_length=MOST_WORKLOADS)],
        wanted: Annotated[Wanted, Depends()],
        drawn: Annotated[Drawn, Depends()],
        cluster: Cluster = "",
        format: Literal["columns", "csv", "ndjson", "parquet"] = "columns",  # noqa: A002 - as above
        layout: tables.Layout = "long",
    ) -> Response:
        """Curves of several workloads side by side; or every point of theirs as a file."""
        database = self._planes[cluster]
        asked = list(dict.fromkeys(workload))
        versions = [await curves.version(database, uid) for uid in asked]
        etag = answers.tag(*versions, request.url.query)
        if answer := answers.known(request, etag):
            return answer
        series: list[Curve] = []
        parts: list[exports.Part] = []
        for uid in asked:
            span = drawn.zoomed(wanted.span(uid))
            names = await panels.asked_names(database, uid, wanted.metrics, wanted.repeated)
            if format != "columns":
                parts.append(await self._part(database, span, names, drawn))
                continue
            found = await curves.read(database, span, names, drawn.view)
            series += _of_workload(uid, found.curves)
        if format != "columns":
            return await exports.streamed(database, parts, format, layout, etag)
        return answers.tagged(request, {"workloads": asked, "series": series}, etag)

    @staticmethod
    async def _part(
        database: Database, span: Span, names: Sequence[str] | None, drawn: Drawn
    ) -> exports.Part:
        """What a file holds of a workload. Raises BadQuery for what only curves can be asked."""
        for name, asked in drawn.of_curves_alone().items():
            if asked:
                raise errors.BadQuery.of(name, asked, "left out: a file holds every point")
        counts = await curves.counts(database, span)
        wanted = [name for name in counts if names is None or name in names]
        whole = span == Span(span.workload_uid, span.data_source)
        total = sum(counts[name] for name in wanted) if whole else None
        return exports.Part(span, wanted, total)


def _of_workload(uid: str, found: Sequence[Curve]) -> list[Curve]:
    return [msgspec.structs.replace(curve, workload_uid=uid) for curve in found]
