"""What a person or a platform changes: which pods are whose, and that a workload goes."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from primus_lens.model import errors
from primus_lens.model.pods import Pod
from primus_lens.routes import body, problems
from primus_lens.settings import LimitSettings
from primus_lens.store import deletion, pods
from primus_lens.store.database import Database

MOST_PODS = 10_000  # a request

_Identity = Annotated[str, msgspec.Meta(max_length=255)]
_BIGINT = 2**63 - 1


class GivenPod(msgspec.Struct):
    """A pod in a body. An empty namespace or pod_uid stands for any."""

    workload_uid: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    pod_name: _Identity = ""
    namespace: _Identity = ""
    pod_uid: _Identity = ""


_PODS = msgspec.json.Decoder(Annotated[list[GivenPod], msgspec.Meta(max_length=MOST_PODS)])


class WorkloadAdmin:
    """The pods and the end of workloads of this server's own database."""

    def __init__(self, database: Database, limits: LimitSettings) -> None:
        self._database = database
        self._limits = limits

    def router(self) -> APIRouter:
        """The routes. Include them after those below a workload's path, which this one takes."""
        routes = APIRouter(prefix="/api/v1", tags=["administration"])
        routes.add_api_route("/pods", self.list_pods)
        routes.add_api_route("/pods", self.put_pods, methods=["PUT"])
        routes.add_api_route("/workloads/{uid:path}", self.delete_workload, methods=["DELETE"])
        return routes

    async def list_pods(
        self,
        workload: str = "",
        pod_name: str = "",
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
        offset: Annotated[int, Query(ge=0, le=_BIGINT)] = 0,
    ) -> Response:
        """Which pods belong to which workloads, in order of their names."""
        async with self._database.connection() as connection:
            found, total = await pods.listed(
                connection, workload_uid=workload, pod_name=pod_name, limit=limit, offset=offset
            )
        return problems.json_response({"pods": found, "total_count": total})

    async def put_pods(self, request: Request) -> Response:
        """Say which pods belong to which workloads; what is known already changes nothing."""
        body.refuse_other_than_json(request)
        given = _decoded(await body.read_json_bytes(request, self._limits))
        told = [
            Pod(each.workload_uid, each.namespace, each.pod_name, each.pod_uid) for each in given
        ]
        added = await pods.put(self._database, told)
        return problems.json_response({"pods": len(given), "added": added})

    async def delete_workload(self, uid: str) -> Response:
        """Delete a workload with everything stored of it; a job that reports on begins it anew."""
        gone = await deletion.delete_workload(self._database, uid)
        if not any(gone.values()):
            raise errors.NotKnown(f"there is no workload {uid}; it may have been deleted before")
        return problems.json_response({"workload_uid": uid, "deleted": gone})


def _decoded(content: bytes) -> list[GivenPod]:
    try:
        given: list[GivenPod] = _PODS.decode(content)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        field = place.rstrip("`").lstrip(".") or "the body"
        allowed = "a list of {workload_uid, pod_name, namespace, pod_uid}"
        problem = errors.FieldProblem(field, None, allowed)
        raise errors.InvalidField(
            f"{field} is wrong: {reason}; it must be {allowed}", [problem]
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.MalformedBody(f"the body is not valid JSON: {error}") from error
    for i, pod in enumerate(given):
        if not (pod.pod_name or pod.pod_uid):
            raise errors.InvalidField.missing(f"[{i}].pod_name", "a pod's name, or pod_uid its uid")
    return given
