"""The reading endpoints: the specification's four, and the inventory the page lives on.

After the store, a point leaves through here: query/curves and query/progress shape it.
"""

import time
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from primus_lens.model import errors
from primus_lens.query import curves, fleet, fleet_pages, inventory, progress
from primus_lens.routes import answers
from primus_lens.routes.parameters import BIGINT, Cluster, End, Several, Source, Start
from primus_lens.routes.planes import Planes
from primus_lens.routes.points import PointsEndpoints
from primus_lens.store.database import Database
from primus_lens.store.points_read import Span

_ORDER = f"^-?({'|'.join(dict.fromkeys((*fleet.SORTED_BY, *fleet_pages.STEADY)))})$"


class WorkloadMetrics:
    """The reading side over some data planes. own: the one that is read when none is named."""

    def __init__(self, clusters: Mapping[str, Database], own: str) -> None:
        self._planes = Planes(clusters, own)

    def router(self) -> APIRouter:
        """The routes."""
        routes = APIRouter(prefix="/api/v1", tags=["workloads"])
        one = "/workloads/{uid:path}"  # a uid may hold slashes, so the bare path comes last
        routes.add_api_route("/workloads", self.list_workloads)
        routes.add_api_route(f"{one}/metrics/sources", self.list_sources)
        routes.add_api_route(f"{one}/metrics/available", self.list_metrics)
        PointsEndpoints(self._planes).add_to(routes)
        routes.add_api_route(f"{one}/metrics/iteration-times", self.read_iteration_times)
        routes.add_api_route(one, self.show_workload)
        return routes

    async def list_workloads(  # noqa: PLR0917 - FastAPI passes query parameters by name
        self,
        request: Request,
        q: Annotated[str, Query(max_length=1_000)] = "",
        regex: str = "",
        state: Several = None,
        framework: Several = None,
        namespace: Several = None,
        sort: Annotated[str, Query(pattern=_ORDER)] = "last_seen",
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
        offset: Annotated[int, Query(ge=0, le=BIGINT)] = 0,
        after: Annotated[str, Query(description="The `next` of the page before.")] = "",
        cluster: Cluster = "",
    ) -> Response:
        """The fleet: every workload as it stands, with its pace, its progress and its loss."""
        several = {"state": state or (), "framework": framework or (), "namespace": namespace or ()}
        asked = fleet.Asked(q=q, regex=regex, sort=sort, limit=limit, offset=offset, **several)
        database, now = self._planes[cluster], time.time()
        if sort.removeprefix("-") in fleet_pages.STEADY:
            return answers.tagged(request, await fleet_pages.page(database, asked, after, now=now))
        if after:
            allowed = f"left out, or with sort={', '.join(fleet_pages.STEADY)}"
            raise errors.BadQuery.of("after", after, allowed)
        return answers.tagged(request, await fleet.workloads(database, asked, now=now))

    async def show_workload(self, request: Request, uid: str, cluster: Cluster = "") -> Response:
        """One workload: its runs, its framework with the evidence, its metrics."""
        return answers.tagged(
            request, await inventory.workload(self._planes[cluster], uid, now=time.time())
        )

    async def list_sources(self, request: Request, uid: str, cluster: Cluster = "") -> Response:
        """Where a workload's points come from."""
        found = await curves.sources(self._planes[cluster], uid)
        document = {"workload_uid": uid, "data_sources": found, "total_count": len(found)}
        return answers.tagged(request, document)

    async def list_metrics(
        self, request: Request, uid: str, data_source: Source = "", cluster: Cluster = ""
    ) -> Response:
        """Which metrics a workload has."""
        found = await curves.available(self._planes[cluster], uid, data_source)
        document = {"workload_uid": uid, "metrics": found, "total_count": len(found)}
        return answers.tagged(request, document)

    async def read_iteration_times(  # noqa: PLR0917 - FastAPI passes query parameters by name
        self,
        request: Request,
        uid: str,
        data_source: Source = "",
        start: Start = None,
        end: End = None,
        cluster: Cluster = "",
    ) -> Response:
        """When each step was, and the target where the job told one."""
        database = self._planes[cluster]
        etag = answers.tag(await curves.version(database, uid), request.url.query)
        span = Span(uid, data_source, start, end)
        return answers.known(request, etag) or await answers.streamed(
            span, progress.iteration_times(database, span), etag
        )
