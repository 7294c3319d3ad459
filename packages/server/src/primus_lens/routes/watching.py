"""The watch for people and programs: alerts, what is watched and silenced, health of what comes."""

import time
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request, Response

from primus_lens.model import errors
from primus_lens.model.alerts import KINDS, Kind, Silence
from primus_lens.query import ingest_health
from primus_lens.routes import body, problems
from primus_lens.settings import LimitSettings, Thresholds
from primus_lens.store import watch as stored
from primus_lens.store.database import Database
from primus_lens.store.watch import AlertFilter, WatchSetting
from primus_lens.watch import limits, telling

PATH = "/workloads/{uid:path}/watch"
_BIGINT = 2**63 - 1
_LATEST_MS = 253_402_300_799_000  # the end of the year 9999, where PostgreSQL and people stop


class WatchBody(msgspec.Struct, forbid_unknown_fields=True):
    """What a person sets for a workload, whole. silenced_until: Unix milliseconds, null: not."""

    silenced_until: Annotated[int, msgspec.Meta(ge=0, le=_LATEST_MS)] | None = None
    silenced_kinds: list[Kind] = []
    thresholds: dict[str, Any] = {}


class WatchEndpoints:
    """The watch over this server's own database. server: the thresholds where none are set."""

    def __init__(self, database: Database, server: Thresholds, bounds: LimitSettings) -> None:
        self._database = database
        self._server = server
        self._bounds = bounds

    def router(self) -> APIRouter:
        """The routes. Include them before the workload's bare path, which takes every other."""
        routes = APIRouter(prefix="/api/v1", tags=["watch"])
        routes.add_api_route("/alerts", self.list_alerts)
        routes.add_api_route(PATH, self.read_watch)
        routes.add_api_route(PATH, self.set_watch, methods=["PUT"])
        routes.add_api_route("/workloads/{uid:path}/health", self.read_health)
        return routes

    async def list_alerts(
        self,
        state: AlertFilter = "open",
        workload: str = "",
        kind: Annotated[str, Query(description="Only alerts of this kind.")] = "",
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
        offset: Annotated[int, Query(ge=0, le=_BIGINT)] = 0,
    ) -> Response:
        """Alerts, the newest first; spikes that passed are among the closed ones."""
        if kind and kind not in KINDS:
            raise errors.BadQuery.of("kind", kind, ", ".join(KINDS))
        async with self._database.connection() as connection:
            found, total = await stored.alerts(
                connection,
                state=state,
                workload_uid=workload,
                kind=kind,
                now=time.time(),
                limit=limit,
                offset=offset,
            )
        told = [telling.document(each.alert, silenced=each.silenced) for each in found]
        return problems.json_response({"alerts": told, "total_count": total})

    async def read_watch(self, uid: str) -> Response:
        """What is set for a workload, and the thresholds that hold for it."""
        async with self._database.connection() as connection:
            chosen = await stored.setting(connection, uid)
        silence = chosen.silence
        until = round(silence.until * 1000) if silence.until else None
        return problems.json_response(
            {
                "workload_uid": uid,
                "silenced_until": until,
                "silenced_kinds": silence.kinds,
                "thresholds": chosen.thresholds,
                "in_force": limits.document(limits.with_own(self._server, chosen.thresholds)),
            }
        )

    async def set_watch(self, request: Request, uid: str) -> Response:
        """Set a workload's thresholds and silence, whole: what is left out is the server's."""
        if not 0 < len(uid) <= 255:  # noqa: PLR2004 - the column's
            raise errors.InvalidField.of("workload_uid", uid, "of 1 to 255 characters")
        body.refuse_other_than_json(request)
        content = await body.read_json_bytes(request, self._bounds)
        said = _decoded(content)
        limits.with_own(self._server, said.thresholds)  # refuses what cannot be
        until = (said.silenced_until or 0) / 1000
        chosen = WatchSetting(Silence(until, tuple(said.silenced_kinds)), said.thresholds)
        async with self._database.connection() as connection:
            await stored.put_setting(connection, uid, chosen, now=time.time())
        return await self.read_watch(uid)

    async def read_health(self, uid: str) -> Response:
        """How well a workload's points come: streams, gaps, clock, what waits for its pod."""
        return problems.json_response(await ingest_health.health(self._database, uid))


def _decoded(content: bytes) -> WatchBody:
    try:
        return msgspec.json.decode(content, type=WatchBody)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$")
        field = place.strip(".`") or "the body"
        problem = errors.FieldProblem(field, None, what)
        raise errors.InvalidField(f"{field}: {what}", [problem]) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.MalformedBody(f"the body is not JSON: {error}") from error
