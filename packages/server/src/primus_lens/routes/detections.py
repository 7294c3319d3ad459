"""What a workload runs: read it with its evidence; say it when the evidence is wrong."""

from fastapi import APIRouter, Request, Response

from primus_lens.detection import rules
from primus_lens.ingest import evidence, wire
from primus_lens.model import errors
from primus_lens.model.detections import Detection, Layer
from primus_lens.model.points import WorkloadUid
from primus_lens.routes import body, problems
from primus_lens.settings import LimitSettings
from primus_lens.store import detections
from primus_lens.store.database import Database

PATH = "/workloads/{uid:path}/detection"


class DetectionEndpoints:
    """The detection of a workload of this server's own database."""

    def __init__(self, database: Database, limits: LimitSettings) -> None:
        self._database = database
        self._limits = limits

    def router(self) -> APIRouter:
        """The routes. Include them before the workload's bare path, which takes every other."""
        routes = APIRouter(prefix="/api/v1", tags=["workloads"])
        routes.add_api_route(PATH, self.read_detection)
        routes.add_api_route(PATH, self.set_detection, methods=["PUT"])
        routes.add_api_route(PATH, self.withdraw_detection, methods=["DELETE"])
        return routes

    async def read_detection(self, uid: str) -> Response:
        """A workload's framework: what all sources say together, and what each one showed."""
        async with self._database.connection() as connection:
            found = await detections.read(connection, uid)
        if found is None:
            raise errors.NotKnown(f"nothing is known of the framework of workload {uid}")
        return problems.json_response({"workload_uid": uid, **found})

    async def set_detection(self, request: Request, uid: str) -> Response:
        """Say what a workload runs; it outranks every report until it is withdrawn."""
        body.refuse_other_than_json(request)
        content = await body.read_json_bytes(request, self._limits)
        detection = _by_user(wire.decode(wire.UserDetection, content))
        await evidence.overrule(self._database, WorkloadUid(uid), detection)
        return await self.read_detection(uid)

    async def withdraw_detection(self, uid: str) -> Response:
        """Forget what a person said; the reports decide again."""
        await evidence.withdraw(self._database, WorkloadUid(uid))
        return await self.read_detection(uid)


def _by_user(said: wire.UserDetection) -> Detection:
    wrapper = rules.canonical(said.wrapper_framework)
    base = rules.canonical(said.base_framework)
    if not wrapper and not base:
        raise errors.InvalidField.missing(
            "wrapper_framework", "a framework's name, or base_framework one"
        )
    return Detection(
        framework=wrapper or base,
        layer=Layer.WRAPPER if wrapper else Layer.BASE,
        confidence=1.0,
        method="user",
        wrapper_framework=wrapper,
        base_framework=base,
        indicators=("said by a person",),
    )
