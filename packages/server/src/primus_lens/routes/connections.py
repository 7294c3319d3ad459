"""The HTTP connections: uvicorn's protocol with bounds on how much and how long a client may send.

Comes before the application; what is refused here never gets there. uvicorn alone would take
headers without end and wait for the rest of a request for ever.
"""

import asyncio
import enum
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from primus_lens.settings import LimitSettings

_RETRY_AFTER = b"retry-after: 2\r\n"
_LOOK_AGAIN_S = 1.0


class _Refused(Exception):
    """Ends the parsing of a request whose refusal is noted."""


class _Coming(enum.Enum):
    """What the client has begun to send and not finished."""

    NOTHING = "request"
    HEADERS = "headers"
    BODY = "body"


class BoundedConnection(HttpToolsProtocol):
    """One client's connection; `bounded` gives it its limits.

    A request has limits.header_s for its headers and then limits.body_s for its body, not counting
    the time in which we ourselves do not read on.
    """

    limits: LimitSettings

    def __init__(self, *given: Any, **named: Any) -> None:  # noqa: ANN401 - as uvicorn passes them
        super().__init__(*given, **named)
        self._refusal = (400, "this is no HTTP request that can be understood")
        self._coming = _Coming.NOTHING
        self._head_bytes = 0
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deaf = False
        self._stopping = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """One connection more, if there is room for it."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._refuse(503, f"{self.limits.connections} connections are open", _RETRY_AFTER)
        else:
            self._wait_at_most(self.limits.header_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self._deadline = None
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request, of a part of one or of several."""
        if self._deaf:
            return
        if self._coming is _Coming.HEADERS:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._coming is _Coming.HEADERS and self._head_bytes > self.limits.header_bytes:
            self._refuse(431, self._too_long())

    def on_message_begin(self) -> None:
        """The first bytes of a request."""
        super().on_message_begin()
        self._coming, self._head_bytes = _Coming.HEADERS, 0
        self._wait_at_most(self.limits.header_s)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        super().on_header(name, value)
        if len(self.headers) > self.limits.headers:
            self._give_up(431, f"the request has more than {self.limits.headers} headers")

    def on_headers_complete(self) -> None:
        """The application starts here."""
        if len(self.url) + sum(len(n) + len(v) for n, v in self.headers) > self.limits.header_bytes:
            self._give_up(431, self._too_long())
        offered = self._get_upgrade()
        if offered == b"websocket" or (offered and self._brings()):
            # The parser takes a body behind such an offer for words of the other protocol.
            self._give_up(400, "this server speaks plain HTTP/1.1: no WebSocket, no other upgrade")
        super().on_headers_complete()
        if self._stopping:
            self.cycle.keep_alive = False
        self._coming = _Coming.BODY
        self._wait_at_most(self.limits.body_s)

    def on_message_complete(self) -> None:
        """The whole request is here."""
        self._coming, self._deadline = _Coming.NOTHING, None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answered request's body is needed no more; uvicorn keeps it until the next comes."""
        if self.cycle.response_complete:
            self.cycle.body = bytearray()
        super().on_response_complete()

    def shutdown(self) -> None:
        """The server stops: a request that is still coming gets half of the time there is."""
        self._stopping = True
        if self._coming is not _Coming.NOTHING:
            self._wait_at_most((self.config.timeout_graceful_shutdown or 0) / 2)
        if self._coming is not _Coming.HEADERS:
            super().shutdown()

    def _unsupported_upgrade_warning(self) -> None:
        """An offer to change the protocol (h2c, say) is passed over: this answer is the last."""
        self._deaf = True
        self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - our words are in _refusal
        """What uvicorn calls when the parsing ends early."""
        self._refuse(*self._refusal)

    def _give_up(self, status: int, message: str) -> None:
        self._refusal = (status, message)
        raise _Refused

    def _brings(self) -> bool:
        """Whether a body follows the headers."""
        return any(
            name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
            for name, value in self.headers
        )

    def _too_long(self) -> str:
        return f"the headers are longer than {self.limits.header_bytes} bytes"

    def _wait_at_most(self, within_s: float) -> None:
        """Set the deadline of what is coming. One timer serves many requests of a connection."""
        self._deadline = self.loop.time() + within_s
        if self._timer is None or self._timer.when() > self._deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self.loop.call_at(self._deadline, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._deadline is None or self.transport.is_closing():
            return
        left_s = self._deadline - self.loop.time()
        if left_s > 0 or self.flow.read_paused:
            self._timer = self.loop.call_later(max(left_s, _LOOK_AGAIN_S), self._look)
        elif self._coming is _Coming.NOTHING:
            self.transport.close()
        elif self._stopping:
            self._refuse(503, "the server is stopping", _RETRY_AFTER)
        else:
            late = self._coming
            within = self.limits.body_s if late is _Coming.BODY else self.limits.header_s
            self._refuse(408, f"the {late.value} did not arrive within {within:g} s")

    def _refuse(self, status: int, message: str, more: bytes = b"") -> None:
        """Answer and close; what came before on this connection is answered first."""
        self._deadline, self._deaf = None, True
        cycle = self.cycle
        if self._coming is _Coming.BODY:
            may_answer = not cycle.response_started and not self.pipeline
            cycle.disconnected = True
            cycle.message_event.set()
        else:
            may_answer = cycle is None or cycle.response_complete
            if not may_answer:
                cycle.keep_alive = False
                return
        if may_answer:
            body = msgspec.json.encode({"error": message, "code": "http"})
            head = b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body)
            parts = (STATUS_LINE[status], head, more, b"connection: close\r\n\r\n", body)
            self.transport.write(b"".join(parts))
        self.transport.close()


def bounded(limits: LimitSettings) -> type[BoundedConnection]:
    """The class of connections with these limits, as uvicorn wants one."""
    return type("BoundedConnection", (BoundedConnection,), {"limits": limits})
