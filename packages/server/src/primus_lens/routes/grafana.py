"""Grafana's JSON data source plug-ins: the protocols of SimpleJson and of simPod's JSON API.

Both at /api/v1/grafana for all workloads and at /api/v1/grafana/{workload_uid} for one; SimpleJson
at /api/v1, too, where the specification's set-up points it. routes/grafana_wire reads the bodies,
query/panels and query/events answer.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response

import primus_lens
from primus_lens.model import errors
from primus_lens.query import events, panels, targets
from primus_lens.routes import body as bodies
from primus_lens.routes import grafana_wire as wire
from primus_lens.routes import problems
from primus_lens.settings import LimitSettings
from primus_lens.store import grafana
from primus_lens.store.database import Database

PREFIX = "/api/v1/grafana"
SPECIFIED = "/api/v1"
"""The base of the specification's own set-up."""

_WORKLOADS = 1_000  # of a list to choose from, the last heard of
_ALL_TIME = (0, 253_402_300_799_000)

T = TypeVar("T")
Answer = Callable[[Request, str], Awaitable[Response]]


def reads(path: str) -> bool:
    """Whether a POST there only asks, so that a token that may read may make it."""
    asked = {f"{SPECIFIED}/{name}" for name in ("query", "search", "annotations")}
    return path.startswith(f"{PREFIX}/") or path in asked | {
        f"{SPECIFIED}/tag-keys",
        f"{SPECIFIED}/tag-values",
    }


class GrafanaEndpoints:
    """The JSON protocols over this server's own database."""

    def __init__(self, database: Database, limits: LimitSettings) -> None:
        self._database = database
        self._limits = limits

    def router(self) -> APIRouter:
        """The routes."""
        routes = APIRouter(tags=["grafana"])
        simple_json: dict[str, Answer] = {
            "search": self._search,
            "query": self._query,
            "annotations": self._annotations,
            "tag-keys": self._tag_keys,
            "tag-values": self._tag_values,
        }
        sim_pod: dict[str, Answer] = {
            "metrics": self._metrics,
            "metric-payload-options": self._payload_options,
            "variable": self._variable,
        }
        both = {**simple_json, **sim_pod}
        routes.add_api_route(PREFIX, self.base)
        routes.add_api_route(f"{PREFIX}/", self.base, include_in_schema=False)
        for name, answer in both.items():
            routes.add_api_route(
                f"{PREFIX}/{name}",
                _endpoint(answer),
                methods=["POST"],
                name=name,
                description=answer.__doc__,
            )
        # A uid may hold slashes, so that what is known to follow it comes before its bare path.
        for name, answer in both.items():
            routes.add_api_route(
                f"{PREFIX}/{{workload_uid:path}}/{name}",
                _endpoint_of_workload(answer),
                methods=["POST"],
                include_in_schema=False,
            )
        routes.add_api_route(f"{PREFIX}/{{workload_uid:path}}", self.base, include_in_schema=False)
        for name, answer in simple_json.items():
            routes.add_api_route(
                f"{SPECIFIED}/{name}",
                _endpoint(answer),
                methods=["POST"],
                include_in_schema=False,
            )
        return routes

    async def base(self) -> Response:
        """What a plug-in probes when its settings are saved."""
        return problems.json_response(
            {"service": "primus-lens", "version": primus_lens.__version__}
        )

    async def _read(self, request: Request, kind: type[T]) -> T:
        content = await bodies.read_json_bytes(request, self._limits)
        if content:
            bodies.refuse_other_than_json(request)
        return wire.decoded(kind, content)

    async def _query(self, request: Request, workload_uid: str) -> Response:
        """The curves of a panel: series, or tables, in order of time."""
        asked, span = wire.panel(await self._read(request, wire.QueryBody), workload_uid)
        return problems.json_response(await panels.answer(self._database, asked, span))

    async def _search(self, request: Request, workload_uid: str) -> Response:
        """Names to choose from, as SimpleJson's query editor and variables ask for them."""
        text = (await self._read(request, wire.SearchBody)).target or ""
        found = await self._found(text, workload_uid)
        if all(shown == value for shown, value in found):
            return problems.json_response([value for _, value in found])
        return problems.json_response([{"text": shown, "value": value} for shown, value in found])

    async def _variable(self, request: Request, workload_uid: str) -> Response:
        """The values of a dashboard variable, as simPod's plug-in asks for them."""
        payload = (await self._read(request, wire.VariableBody)).payload
        text = payload.get("target") if isinstance(payload, dict) else payload
        found = await self._found(text if isinstance(text, str) else "", workload_uid)
        return problems.json_response(
            [{"__text": shown, "__value": value} for shown, value in found]
        )

    async def _found(self, text: str, workload_uid: str) -> list[tuple[str, str]]:
        """What a variable's text asks for, as (shown, value).

        `workloads()`, `metrics(UID)`, `sources(UID)`, `runs(UID)`; anything else is part of the
        name of a metric.
        """
        what, _, rest = text.partition("(")
        if text == "workloads()":
            return await self._workloads()
        if rest.endswith(")") and what in {"metrics", "sources", "runs"}:
            uids = await self._uids(rest[:-1], workload_uid)
            if what == "metrics":
                return await self._metric_names(uids)
            return await self._sources_or_runs(uids, what)
        uids = [workload_uid] if workload_uid else [uid for _, uid in await self._workloads()]
        sought = targets.unescaped(text).lower()
        names = await self._metric_names(uids)
        return [each for each in names if sought in each[0].lower()]

    async def _uids(self, text: str, workload_uid: str) -> list[str]:
        return (
            [workload_uid] if workload_uid else await panels.known_workloads(self._database, [text])
        )

    async def _workloads(self) -> list[tuple[str, str]]:
        async with self._database.connection() as connection:
            found = await grafana.newest_workloads(connection, _WORKLOADS)
        return [(name if name == uid else f"{name} ({uid})", uid) for uid, name in found]

    async def _metric_names(self, uids: Sequence[str]) -> list[tuple[str, str]]:
        found = await panels.metric_names(self._database, uids)
        names = sorted({name for of_workload in found.values() for name in of_workload})
        return [(name, name) for name in names]

    async def _sources_or_runs(self, uids: Sequence[str], what: str) -> list[tuple[str, str]]:
        async with self._database.connection() as connection:
            found = await grafana.sources_and_runs(connection, uids, panels.MOST_NAMES)
        values = dict.fromkeys(source if what == "sources" else run for source, run in found)
        return [(value, value) for value in values]

    async def _annotations(self, request: Request, workload_uid: str) -> Response:
        """Begins, restarts and ends of runs in a range, and alerts that began in it."""
        asked = await self._read(request, wire.AnnotationsBody)
        query = asked.annotation.get("query") or ""
        if not isinstance(query, str):
            raise errors.InvalidField.of("annotation.query", query, "a workload's uid")
        workloads = [workload_uid] if workload_uid else None
        if query and not workload_uid:
            workloads = await panels.known_workloads(self._database, [query])
        start_ms, end_ms = wire.bounds(asked.range)
        found = await events.events(
            self._database,
            workloads,
            start_ms=_ALL_TIME[0] if start_ms is None else start_ms,
            end_ms=_ALL_TIME[1] if end_ms is None else end_ms,
        )
        return problems.json_response(
            [
                {
                    "annotation": asked.annotation,
                    "time": event.at,
                    **({} if event.until is None else {"timeEnd": event.until}),
                    "title": event.title,
                    "text": event.text,
                    "tags": event.tags,
                }
                for event in found
            ]
        )

    async def _tag_keys(self, request: Request, workload_uid: str) -> Response:
        """What an ad hoc filter may name."""
        await self._read(request, dict[str, Any])
        names = wire.SCOPES[1:] if workload_uid else wire.SCOPES
        return problems.json_response([{"type": "string", "text": name} for name in names])

    async def _tag_values(self, request: Request, workload_uid: str) -> Response:
        """The values of an ad hoc filter."""
        key = (await self._read(request, wire.TagValuesBody)).key
        found = await self._options(key, [workload_uid] if workload_uid else [])
        return problems.json_response([{"text": value} for _, value in found])

    async def _options(self, name: str, uids: Sequence[str]) -> list[tuple[str, str]]:
        """The values of one of SCOPES; sources and runs of the given workloads, or of all."""
        if name not in wire.SCOPES:
            allowed = " or ".join(wire.SCOPES)
            raise errors.InvalidField.of("key", name, allowed)
        if name == "workload_uid":
            return await self._workloads()
        uids = uids or [uid for _, uid in await self._workloads()]
        return await self._sources_or_runs(uids, "sources" if name == "data_source" else "runs")

    async def _metrics(self, request: Request, workload_uid: str) -> Response:
        """The metrics to choose from with what narrows them, as simPod's query editor asks."""
        asked = await self._read(request, wire.MetricBody)
        uids = [workload_uid] if workload_uid else await self._of_payload(asked.payload)
        names = await self._metric_names(uids)
        fields = _payload_fields(with_workload=not workload_uid)
        return problems.json_response(
            [{"value": name, "label": name, "payloads": fields} for name, _ in names]
        )

    async def _payload_options(self, request: Request, workload_uid: str) -> Response:
        """The values of a field beside a metric, as simPod's query editor asks."""
        asked = await self._read(request, wire.MetricBody)
        uids = [workload_uid] if workload_uid else await self._of_payload(asked.payload)
        found = await self._options(asked.name or "", uids)
        return problems.json_response([{"label": shown, "value": value} for shown, value in found])

    async def _of_payload(self, payload: Any) -> list[str]:  # noqa: ANN401 - a JSON value
        given = wire.scope(payload, "workload_uid")
        if given:
            return await panels.known_workloads(self._database, given)
        return [uid for _, uid in await self._workloads()]


def _payload_fields(*, with_workload: bool) -> list[dict[str, Any]]:
    labels = {"workload_uid": "Workload", "data_source": "Data source", "run_id": "Run"}
    asked = [
        {"name": name, "label": labels[name], "type": "select", "reloadMetric": False}
        for name in wire.SCOPES
        if with_workload or name != "workload_uid"
    ]
    shapes = [("timeserie", "Time series"), ("table", "Table"), ("wide", "Wide table")]
    options = [{"label": label, "value": value} for value, label in shapes]
    shape = {"name": "format", "label": "Format", "type": "select", "options": options}
    return [*asked, shape]


def _endpoint(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await answer(request, "")

    return endpoint


def _endpoint_of_workload(answer: Answer) -> Callable[[Request, str], Awaitable[Response]]:
    async def endpoint(request: Request, workload_uid: str) -> Response:
        return await answer(request, workload_uid)

    return endpoint
