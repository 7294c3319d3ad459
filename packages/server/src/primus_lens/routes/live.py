"""Server-Sent Events: what is new of a workload and of the fleet, as it is stored.

Comes before query/live and query/fleet_live. A stream ends at once when the server drains, when its
reader leaves, and within seconds after its token stopped working; the reader comes back with
Last-Event-ID and misses nothing.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from starlette.types import Receive, Scope, Send

from primus_lens.model import errors
from primus_lens.query.fleet_live import FleetTail
from primus_lens.query.live import Event, tail
from primus_lens.query.wakings import Wakings
from primus_lens.routes.access import READMIT
from primus_lens.routes.parameters import Cluster, Metric
from primus_lens.routes.planes import Planes
from primus_lens.store.database import Database

_KEEP_ALIVE_S = 15.0  # proxies close what is silent for a minute
_ADMITTED_EVERY_S = 5.0  # a token that is revoked reads no longer than 10 s
_OPENING = b"retry: 1000\n\n"  # milliseconds until a browser comes back
_KEEP_ALIVE = b": keep-alive\n\n"

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events without end, each with an id to come back with.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}

After = Annotated[str, Query(description="Where to begin: the id of an event or a `cursor`.")]
LastEventId = Annotated[
    str, Header(alias="Last-Event-ID", description="As `after`; what a browser sends to come back.")
]


class LiveEndpoints:
    """The streams over some data planes. draining: set when the server stops."""

    def __init__(self, clusters: Mapping[str, Database], own: str, draining: asyncio.Event) -> None:
        self._planes = Planes(clusters, own)
        self._draining = draining
        self._wakings = {name: Wakings(plane) for name, plane in clusters.items()}
        self._fleets = {
            name: FleetTail(plane, self._wakings[name]) for name, plane in clusters.items()
        }

    def router(self) -> APIRouter:
        """The routes; before those of a workload, whose uid may hold slashes."""
        routes = APIRouter(prefix="/api/v1", tags=["live"])
        routes.add_api_route("/fleet/live", self.follow_fleet, responses=_ANSWERS)
        routes.add_api_route("/workloads/{uid:path}/live", self.follow_workload, responses=_ANSWERS)
        return routes

    async def close(self) -> None:
        """Stop looking and listening."""
        for fleet in self._fleets.values():
            await fleet.close()
        for wakings in self._wakings.values():
            await wakings.close()

    async def follow_workload(
        self,
        uid: str,
        metric: Metric = None,
        after: After = "",
        last_event_id: LastEventId = "",
        cluster: Cluster = "",
    ) -> Response:
        """New points of a workload as they are stored, each once; and its runs when they change."""
        name = self._planes.name(cluster)
        plane, wakings = self._planes.every[name], self._wakings[name]
        events = tail(plane, wakings, uid, metric or [], after=last_event_id or after)
        return await EventStream.begun(events, self._draining)

    async def follow_fleet(
        self, after: After = "", last_event_id: LastEventId = "", cluster: Cluster = ""
    ) -> Response:
        """The rows of the workload list that changed; all of them to who comes back."""
        events = self._fleets[self._planes.name(cluster)].follow(after=last_event_id or after)
        return await EventStream.begun(events, self._draining)


class EventStream(Response):
    """An answer that goes on until its events end, its reader leaves or the server drains."""

    media_type = "text/event-stream"

    def __init__(self, first: Event, more: AsyncIterator[Event], draining: asyncio.Event) -> None:
        super().__init__(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._first = first
        self._more = more
        self._draining = draining

    @classmethod
    async def begun(cls, events: AsyncIterator[Event], draining: asyncio.Event) -> "EventStream":
        """A stream whose first event is there: what fails before it is a status, not a cut."""
        if draining.is_set():
            raise errors.TryLater("the server is stopping", retry_after_s=2)
        return cls(await anext(events), events, draining)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: send what comes until one of the ends."""
        ends = {
            asyncio.create_task(_gone(receive), name="reader"),
            asyncio.create_task(self._draining.wait(), name="drain"),
            asyncio.create_task(_refused(scope), name="token"),
        }
        sending = asyncio.create_task(self._send(send), name="events")
        try:
            await asyncio.wait({sending, *ends}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, *ends):
                task.cancel()
            await asyncio.gather(sending, *ends, return_exceptions=True)
        with contextlib.suppress(OSError):  # the reader may be the one who left
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send) -> None:
        """Every event as it comes, and something now and then, so that nobody thinks us dead."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send(_body(_OPENING + _encoded(self._first)))
        coming = asyncio.ensure_future(anext(self._more))
        try:
            while True:
                await asyncio.wait({coming}, timeout=_KEEP_ALIVE_S)
                if not coming.done():
                    await send(_body(_KEEP_ALIVE))
                    continue
                await send(_body(_encoded(coming.result())))
                coming = asyncio.ensure_future(anext(self._more))
        except (StopAsyncIteration, errors.LensError):
            return  # the reader comes back and is told more
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)


def _body(data: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": True}


def _encoded(event: Event) -> bytes:
    """An event as text/event-stream has it; one without a kind only moves the reader's place."""
    head = f"id: {event.cursor}\n".encode()
    if not event.kind:
        return head + b"\n"
    return b"%bevent: %b\ndata: %b\n\n" % (head, event.kind.encode(), event.data)


async def _gone(receive: Receive) -> None:
    """Until the reader has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refused(scope: Scope) -> None:
    """Until the token of the request works no more; for ever where none is needed."""
    while True:
        await asyncio.sleep(_ADMITTED_EVERY_S)
        if READMIT in scope:
            try:
                await scope[READMIT]()
            except errors.Rejected:
                return
            except errors.TryLater:
                continue  # the tokens cannot be read just now
