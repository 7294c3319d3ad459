"""Which pods belong to which workloads, as a Kubernetes cluster knows it.

Lists the pods that name a workload by a label or an annotation, then watches them from there on.
What it sees it hands on; assembly joins it to pod_cache. A pod that goes stays known: what its
spool holds may come later.
"""

import asyncio
import logging
import os
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import httpx
import msgspec

from primus_lens.model import errors
from primus_lens.model.pods import Pod
from primus_lens.settings import PodWatchSettings

log = logging.getLogger(__name__)

_PAGE = 500  # pods a request, as Kubernetes' own clients ask
_WATCH_S = 300  # how long one watch lasts; the cluster ends it, and it is begun again
_SLACK_S = 30  # beyond which a silent connection is a dead one
_LONGEST_PAUSE_S = 30.0

Learn = Callable[[Sequence[Pod]], Awaitable[object]]


class _Metadata(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _PodObject(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


class _ListMetadata(
    msgspec.Struct, rename={"resource_version": "resourceVersion", "more": "continue"}
):
    resource_version: str = ""
    more: str = ""


class _PodList(msgspec.Struct):
    metadata: _ListMetadata
    items: list[_PodObject] = []


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Status(msgspec.Struct):
    code: int = 0
    message: str = ""


class _ClusterRefuses(Exception):
    """The API server said something else than pods; the watch begins anew."""


_EVENT = msgspec.json.Decoder(_Event)


class PodWatch:
    """Follows the pods of one cluster for ever.

    learn: told every pod that names a workload, again after each trouble. environ: where Kubernetes
    says how its API server is reached.
    """

    def __init__(
        self, settings: PodWatchSettings, learn: Learn, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._settings = settings
        self._learn = learn
        self._told: set[Pod] = set()
        self._url = f"{_api(settings, environ)}/api/v1" + (
            f"/namespaces/{settings.namespace}/pods" if settings.namespace else "/pods"
        )

    async def follow(self, *, pause_s: float = 1.0) -> None:
        """List and watch until cancelled; trouble is logged, and tried again after a pause.

        pause_s: Seconds before the first further trial; each that fails doubles it.
        """
        pause = pause_s
        while True:
            try:
                async with self._client() as client:
                    version = await self._list(client)
                    log.info("pods are followed", extra={"pods": len(self._told)})
                    pause = pause_s
                    while True:
                        version = await self._watch(client, version)
            except (httpx.HTTPError, OSError, msgspec.DecodeError) as error:
                reason = str(error) or type(error).__name__
            except (_ClusterRefuses, errors.LensError) as error:
                reason = str(error)
            log.warning("pods are not followed just now", extra={"reason": reason})
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads replicas
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    def _client(self) -> httpx.AsyncClient:
        """A client with the token as it is now; the cluster replaces it every hour."""
        settings = self._settings
        token = Path(settings.token_file) if settings.token_file else None
        headers = {}
        if token is not None and token.exists():
            headers["Authorization"] = f"Bearer {token.read_text().strip()}"
        authority = settings.ca_file if Path(settings.ca_file).is_file() else None
        return httpx.AsyncClient(
            headers=headers,
            verify=ssl.create_default_context(cafile=authority),
            timeout=httpx.Timeout(10, read=_WATCH_S + _SLACK_S),
            trust_env=False,
        )

    async def _list(self, client: httpx.AsyncClient) -> str:
        """Tell all pods there are. Returns the version to watch from."""
        self._told.clear()
        more = ""
        while True:
            asked = self._asked(limit=_PAGE, **({"continue": more} if more else {}))
            answer = await client.get(self._url, params=asked)
            _refuse_failure(answer.status_code, answer.content)
            page = msgspec.json.decode(answer.content, type=_PodList)
            await self._tell([pod.metadata for pod in page.items])
            more = page.metadata.more
            if not more:
                return page.metadata.resource_version

    async def _watch(self, client: httpx.AsyncClient, version: str) -> str:
        """Tell pods as they come until the cluster ends the watch. Returns the version then."""
        asked = self._asked(
            watch="true",
            resourceVersion=version,
            allowWatchBookmarks="true",
            timeoutSeconds=_WATCH_S,
        )
        async with client.stream("GET", self._url, params=asked) as answer:
            if answer.status_code != httpx.codes.OK:
                _refuse_failure(answer.status_code, await answer.aread())
            async for event in _events(answer):
                if event.type == "ERROR":
                    status = msgspec.json.decode(event.object, type=_Status)
                    raise _ClusterRefuses(f"the watch ended: {status.code} {status.message}")
                metadata = msgspec.json.decode(event.object, type=_PodObject).metadata
                version = metadata.resource_version or version
                if event.type in {"ADDED", "MODIFIED"}:
                    await self._tell([metadata])
        return version

    def _asked(self, **parameters: str | int) -> dict[str, str | int]:
        """A request's parameters; where only a label counts, the cluster leaves out the others."""
        settings = self._settings
        only_label = bool(settings.label) and not settings.annotation
        return {"labelSelector": settings.label, **parameters} if only_label else parameters

    async def _tell(self, seen: Sequence[_Metadata]) -> None:
        pods = [pod for metadata in seen for pod in self._pods(metadata)]
        fresh = [pod for pod in dict.fromkeys(pods) if pod not in self._told]
        if fresh:
            await self._learn(fresh)
            self._told.update(fresh)

    def _pods(self, metadata: _Metadata) -> list[Pod]:
        """A pod once for each workload it names."""
        named = [(metadata.labels or {}).get(self._settings.label, "")]
        named += (metadata.annotations or {}).get(self._settings.annotation, "").split(",")
        return [
            Pod(uid.strip(), metadata.namespace, metadata.name, metadata.uid)
            for uid in named
            if uid.strip()
        ]


def _api(settings: PodWatchSettings, environ: Mapping[str, str]) -> str:
    """The API server's address. Raises ConfigError outside of a cluster without one given."""
    if settings.api:
        return settings.api.rstrip("/")
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise errors.ConfigError(
            "workloads.pod_watch.enabled is set, but this is no pod of a cluster "
            "(KUBERNETES_SERVICE_HOST is not set); give workloads.pod_watch.api"
        )
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _refuse_failure(status: int, content: bytes) -> None:
    if status == httpx.codes.OK:
        return
    told = content[:200].decode(errors="replace")
    hint = (
        "; its service account may not list and watch pods"
        if status == httpx.codes.FORBIDDEN
        else ""
    )
    raise _ClusterRefuses(f"the API server answered {status}{hint}: {told}")


async def _events(answer: httpx.Response) -> AsyncIterator[_Event]:
    async for line in answer.aiter_lines():
        if line.strip():
            yield _EVENT.decode(line)
