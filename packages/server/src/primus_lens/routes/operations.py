"""Is it alive, is it ready: what an orchestrator asks."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Response

import primus_lens
from primus_lens.routes import problems


def router(is_ready: Callable[[], Awaitable[bool]]) -> APIRouter:
    """is_ready: whether the database answers now."""
    routes = APIRouter(tags=["operations"])

    @routes.get("/healthz")
    async def health() -> Response:
        """The process answers."""
        return problems.json_response({"status": "ok", "version": primus_lens.__version__})

    @routes.get("/readyz")
    async def ready() -> Response:
        """The database answers; until then 503."""
        if await is_ready():
            return problems.json_response({"status": "ready"})
        document = {"status": "not ready", "error": "the database does not answer"}
        return problems.json_response(document, 503, {"Retry-After": "1"})

    # Data source plug-ins probe the base paths they are given.
    @routes.get("/api", include_in_schema=False)
    @routes.get("/api/", include_in_schema=False)
    @routes.get("/api/v1", include_in_schema=False)
    @routes.get("/api/v1/", include_in_schema=False)
    async def base() -> Response:
        return problems.json_response(
            {"service": "primus-lens", "version": primus_lens.__version__}
        )

    return routes
