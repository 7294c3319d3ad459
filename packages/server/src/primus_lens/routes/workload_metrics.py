"""The reading endpoints: the specification's four, and the inventory the page lives on.

After the store, a point leaves through here: query/curves and query/progress shape it.
"""

import hashlib
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Query, Request, Response
from starlette.responses import StreamingResponse

from primus_lens.model import errors
from primus_lens.query import curves, fleet, inventory, panels, progress
from primus_lens.query.curves import PointRow
from primus_lens.routes import problems
from primus_lens.routes.planes import Planes
from primus_lens.store.database import Database
from primus_lens.store.points_read import Span

_CHUNK_ROWS = 1_000  # of a streamed answer: about 120 kB
_BIGINT = 2**63 - 1

Source = Annotated[str, Query(max_length=50, description="Only this data source.")]
Cluster = Annotated[str, Query(description="A configured data plane; this server's own if empty.")]
Metrics = Annotated[
    str, Query(description='Names: "a,b", "{a,b}", "all" or nothing for every metric.')
]
Metric = Annotated[
    list[str] | None, Query(description="One name; may be repeated. For names that hold commas.")
]
Several = Annotated[list[str] | None, Query(description="Any of these; may be repeated.")]
Start = Annotated[int | None, Query(ge=-_BIGINT, le=_BIGINT, description="Unix ms, included.")]
End = Annotated[int | None, Query(ge=-_BIGINT, le=_BIGINT, description="Unix ms, included.")]
Bound = Annotated[
    float | None, Query(description="Of the x axis, included: a step, or Unix ms for x=time.")
]
MaxPoints = Annotated[int | None, Query(ge=4, le=100_000, description="Thin to about so many.")]


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
        routes.add_api_route(f"{one}/metrics/data", self.read_points)
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
        sort: Annotated[str, Query(pattern=f"^-?({'|'.join(fleet.SORTED_BY)})$")] = "last_seen",
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
        offset: Annotated[int, Query(ge=0, le=_BIGINT)] = 0,
        cluster: Cluster = "",
    ) -> Response:
        """The fleet: every workload as it stands, with its pace, its progress and its loss."""
        several = {"state": state or (), "framework": framework or (), "namespace": namespace or ()}
        asked = fleet.Asked(q=q, regex=regex, sort=sort, limit=limit, offset=offset, **several)
        page = await fleet.workloads(self._planes[cluster], asked, now=time.time())
        return _tagged(request, page)

    async def show_workload(self, request: Request, uid: str, cluster: Cluster = "") -> Response:
        """One workload: its runs, its framework with the evidence, its metrics."""
        return _tagged(
            request, await inventory.workload(self._planes[cluster], uid, now=time.time())
        )

    async def list_sources(self, uid: str, cluster: Cluster = "") -> Response:
        """Where a workload's points come from."""
        found = await curves.sources(self._planes[cluster], uid)
        return problems.json_response(
            {"workload_uid": uid, "data_sources": found, "total_count": len(found)}
        )

    async def list_metrics(
        self, uid: str, data_source: Source = "", cluster: Cluster = ""
    ) -> Response:
        """Which metrics a workload has."""
        found = await curves.available(self._planes[cluster], uid, data_source)
        return problems.json_response(
            {"workload_uid": uid, "metrics": found, "total_count": len(found)}
        )

    async def read_points(  # noqa: PLR0917 - FastAPI passes query parameters by name
        self,
        request: Request,
        uid: str,
        data_source: Source = "",
        metrics: Metrics = "",
        metric: Metric = None,
        start: Start = None,
        end: End = None,
        cluster: Cluster = "",
        format: Literal["json", "columns"] = "json",  # noqa: A002 - the parameter's public name
        x: Literal["step", "time"] = "step",
        max_points: MaxPoints = None,
        from_x: Bound = None,
        to_x: Bound = None,
    ) -> Response:
        """Points in order of time; as `columns` one series a run and metric, thinned if asked."""
        database = self._planes[cluster]
        span = _zoomed(Span(uid, data_source, start, end), x, from_x, to_x)
        names = await panels.asked_names(database, uid, metrics, metric or [])
        if format == "json":
            return await _streamed(span, curves.rows(database, span, names))
        tag = _tag(await curves.version(database, uid), request.url.query)
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"ETag": tag})
        if names is None:
            found = await curves.available(database, uid, data_source)
            names = [str(each["name"]) for each in found]
        series, cursor = await curves.columns_and_place(
            database, span, names, axis=x, most=max_points
        )
        document = {"workload_uid": uid, "series": series, "cursor": cursor}
        return problems.json_response(document, headers={"ETag": tag, **_REVALIDATE})

    async def read_iteration_times(
        self,
        uid: str,
        data_source: Source = "",
        start: Start = None,
        end: End = None,
        cluster: Cluster = "",
    ) -> Response:
        """When each step was, and the target where the job told one."""
        span = Span(uid, data_source, start, end)
        return await _streamed(span, progress.iteration_times(self._planes[cluster], span))


def _zoomed(span: Span, x: str, from_x: float | None, to_x: float | None) -> Span:
    """The part of a span between two places on the x axis."""
    low = None if from_x is None else _whole(math.ceil, from_x)
    high = None if to_x is None else _whole(math.floor, to_x)
    if x == "step":
        return msgspec.structs.replace(span, from_step=low, to_step=high)
    starts = [each for each in (span.start_ms, low) if each is not None]
    ends = [each for each in (span.end_ms, high) if each is not None]
    return msgspec.structs.replace(
        span, start_ms=max(starts, default=None), end_ms=min(ends, default=None)
    )


def _whole(rounded: Callable[[float], int], bound: float) -> int:
    """The nearest step or millisecond within a bound, and within PostgreSQL's bigint."""
    if math.isnan(bound):
        raise errors.BadQuery.of("from_x or to_x", "NaN", "a number")
    return max(-_BIGINT, min(_BIGINT, rounded(max(-1e19, min(1e19, bound)))))


_REVALIDATE = {"Cache-Control": "no-cache"}


def _tag(*parts: str) -> str:
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return f'"{digest[:32]}"'


def _tagged(request: Request, document: object) -> Response:
    """A JSON answer, or 304 when the reader has it already."""
    body = msgspec.json.encode(document)
    tag = _tag(body.decode())
    headers = {"ETag": tag, **_REVALIDATE}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


async def _streamed(span: Span, rows: AsyncIterator[PointRow]) -> Response:
    """The specification's envelope around rows of any number, in bounded memory.

    The first rows are read before the status is sent, so that a failing database is still a 503.
    """
    chunks = _chunks(rows)
    first = await anext(chunks, None)
    return StreamingResponse(_envelope(span, first, chunks), media_type="application/json")


async def _envelope(
    span: Span, chunk: Sequence[PointRow] | None, more: AsyncIterator[Sequence[PointRow]]
) -> AsyncIterator[bytes]:
    workload_uid, data_source = map(msgspec.json.encode, (span.workload_uid, span.data_source))
    yield b'{"workload_uid":%b,"data_source":%b,"data":[' % (workload_uid, data_source)
    count = 0
    while chunk:
        yield (b"," if count else b"") + msgspec.json.encode(chunk)[1:-1]
        count += len(chunk)
        chunk = await anext(more, None)
    yield b'],"total_count":%d}' % count


async def _chunks(rows: AsyncIterator[PointRow]) -> AsyncIterator[Sequence[PointRow]]:
    chunk: list[PointRow] = []
    async for row in rows:
        chunk.append(row)
        if len(chunk) == _CHUNK_ROWS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
