"""Refuses requests that reached a loopback service under a foreign name.

A page on the internet can point its own name at 127.0.0.1 (DNS rebinding) and would then read a
service that needs no token; the Host header gives it away.
"""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from primus_lens.routes import problems

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class LoopbackHostCheck:
    """Pure ASGI middleware. names: the hosts a request may name, ports aside."""

    def __init__(self, app: ASGIApp, names: frozenset[str] = LOOPBACK_NAMES) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: answer 421 to a foreign host, pass everything else on."""
        if scope["type"] == "http":
            host = Headers(scope=scope).get("host", "")
            name = host if host.endswith("]") else host.rpartition(":")[0] or host
            if name.lower() not in self._names:
                message = f'this server listens on loopback and does not answer for host "{host}"'
                answer = problems.json_response({"error": message, "code": "foreign_host"}, 421)
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)
