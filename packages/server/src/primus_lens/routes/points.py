"""The points of one workload or of several, in every form they are asked for.

Comes before query/curves. The plain question for a workload's points answers as the specification
has it; the rest is asked for.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from primus_lens.query import curves, panels
from primus_lens.query.drawing import Curve
from primus_lens.routes import answers
from primus_lens.routes.parameters import Cluster, Drawn, Wanted
from primus_lens.routes.planes import Planes

MOST_WORKLOADS = 100  # of one question


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
        format: Literal["json", "columns"] = "json",  # noqa: A002 - the parameter's public name
    ) -> Response:
        """Points in order of time; as `columns` one series a run and metric, thinned if asked."""
        database = self._planes[cluster]
        etag = answers.tag(await curves.version(database, uid), request.url.query)
        if answer := answers.known(request, etag):
            return answer
        span = drawn.zoomed(wanted.span(uid))
        names = await panels.asked_names(database, uid, wanted.metrics, wanted.repeated)
        if format == "json":
            return await answers.streamed(span, curves.rows(database, span, names), etag)
        found = await curves.read(database, span, names, drawn.view)
        document = {"workload_uid": uid, "series": found.curves, "cursor": found.cursor}
        return answers.tagged(request, document, etag)

    async def of_several(
        self,
        request: Request,
        workload: Annotated[list[str], Query(min_length=1, max_length=MOST_WORKLOADS)],
        wanted: Annotated[Wanted, Depends()],
        drawn: Annotated[Drawn, Depends()],
        cluster: Cluster = "",
    ) -> Response:
        """Curves of several workloads side by side, each with its `workload_uid`."""
        database = self._planes[cluster]
        asked = list(dict.fromkeys(workload))
        versions = [await curves.version(database, uid) for uid in asked]
        etag = answers.tag(*versions, request.url.query)
        if answer := answers.known(request, etag):
            return answer
        series: list[Curve] = []
        for uid in asked:
            span = drawn.zoomed(wanted.span(uid))
            names = await panels.asked_names(database, uid, wanted.metrics, wanted.repeated)
            found = await curves.read(database, span, names, drawn.view)
            series += _of_workload(uid, found.curves)
        return answers.tagged(request, {"workloads": asked, "series": series}, etag)


def _of_workload(uid: str, found: Sequence[Curve]) -> list[Curve]:
    return [msgspec.structs.replace(curve, workload_uid=uid) for curve in found]
