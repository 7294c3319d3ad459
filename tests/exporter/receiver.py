"""A small real telemetry-processor: records what arrives, and can be told to misbehave."""

import contextlib
import functools
import gzip
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Request:
    """One request as it arrived."""

    def __init__(self, path: str, headers: dict[str, str], raw: bytes) -> None:
        self.path, self.headers, self.raw = path, headers, raw
        self.peer = ("", 0)

    @functools.cached_property
    def body(self) -> Any:
        """The JSON it carries, read when asked for: a bench's server must not work for nothing."""
        gzipped = self.headers.get("content-encoding") == "gzip"
        return json.loads(gzip.decompress(self.raw) if gzipped else self.raw)

    @property
    def key(self) -> str:
        """The idempotency key, "" if there is none."""
        return self.headers.get("idempotency-key", "")

    @property
    def stream(self) -> str:
        """The stream the key names."""
        return self.key.partition("/")[0]

    @property
    def span(self) -> tuple[int, int]:
        """The first and last record the key names."""
        first, _, last = self.key.partition("/")[2].partition("-")
        return int(first), int(last or first)


class Receiver:
    """A server on a free local port.

    answer: called with each request; returns (status, headers, body) or one of the words "stall"
    (say nothing until released) and "cut" (close the connection at once). With the default every
    request is accepted and every key is remembered, so a record that comes twice is seen.
    """

    def __init__(self, answer: Any = None, port: int = 0) -> None:
        self.answer = answer or accept
        self.requests: list[Request] = []  # every request, in order of arrival
        self.accepted: list[Request] = []
        self.unreadable: list[bytes] = []  # bodies that arrived whole and are no JSON
        self._changed = threading.Condition()
        self.release = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or each answer waits 40 ms for a delayed ACK

            def do_POST(self) -> None:
                receiver._serve(self)

            def log_message(self, *args: Any) -> None:
                """Keep the test's output clean."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args: Any) -> None:
                """A client that is killed mid-request is part of the tests."""

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/api/v1"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length", 0))
        raw = handler.rfile.read(length)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        request = Request(handler.path, headers, raw)
        request.peer = handler.client_address
        with self._changed:
            self.requests.append(request)
            try:
                answer = self.answer(request)
            except ValueError:
                if len(raw) == length:
                    self.unreadable.append(raw)
                raise
            if isinstance(answer, tuple) and answer[0] < 300 and not answer[2].get("replayed"):
                self.accepted.append(request)
            self._changed.notify_all()
        if answer == "stall":
            self.release.wait(60)
            answer = "cut"
        if answer == "cut":
            handler.close_connection = True
            with contextlib.suppress(OSError):
                handler.connection.shutdown(socket.SHUT_RDWR)
            return
        status, extra, body = answer
        data = json.dumps(body).encode()
        with contextlib.suppress(OSError):
            handler.send_response(status)
            for name, value in extra.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            handler.wfile.write(data)

    def wait_for(self, condition: Any, timeout_s: float = 30.0) -> None:
        """Wait until condition(receiver) holds; AssertionError when it does not in time."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), timeout_s), self.summary()

    def summary(self) -> str:
        """Say what arrived, for a failing assertion."""
        arrived, taken = len(self.requests), len(self.accepted)
        return f"{arrived} requests, {taken} accepted, {len(self.points())} points"

    def metrics(self) -> list[Request]:
        """Return the accepted metrics reports."""
        return [request for request in self.accepted if request.path.endswith("/wandb/metrics")]

    def detections(self) -> list[Request]:
        """Return the accepted detection reports."""
        return [request for request in self.accepted if request.path.endswith("/wandb/detection")]

    def points(self, run_id: str = "") -> list[dict[str, Any]]:
        """Return every accepted point, in order of arrival."""
        return [
            point
            for request in self.metrics()
            for point in request.body["metrics"]
            if not run_id or request.body["run_id"] == run_id
        ]

    def curves(self, run_id: str = "") -> dict[int, dict[str, Any]]:
        """Return step -> name -> value, later points over earlier ones."""
        found: dict[int, dict[str, Any]] = {}
        for point in self.points(run_id):
            found.setdefault(point["step"], {})[point["name"]] = point["value"]
        return found

    def run_facts(self, run_id: str = "") -> dict[str, Any]:
        """Return the merged `run` object."""
        facts: dict[str, Any] = {}
        for request in self.metrics():
            if not run_id or request.body["run_id"] == run_id:
                facts.update(request.body.get("run", {}))
        return facts

    def gaps(self) -> list[dict[str, Any]]:
        """Return every accepted gap."""
        return [gap for request in self.metrics() for gap in request.body.get("gaps", [])]

    def close(self) -> None:
        """Stop serving."""
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join(5)


def accept(request: Request) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Take everything."""
    count = len(request.body.get("metrics", []))
    return 200, {}, {"message": "metrics reported successfully", "count": count}


class Once:
    """An answer that takes each record once, as the real server does.

    A request whose records are all known is answered well and left out of what was accepted; one of
    which some are known is answered 409, with what is known.
    """

    def __init__(self) -> None:
        self._known: dict[str, set[int]] = {}

    def __call__(self, request: Request) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Say what becomes of a request."""
        if not request.key:
            return accept(request)
        first, last = request.span
        named, known = set(range(first, last + 1)), self._known.setdefault(request.stream, set())
        if named <= known:
            return 200, {}, {"replayed": True}
        if named & known:
            have = [[n, n] for n in sorted(named & known)]
            return 409, {}, {"error": "some are known", "accepted": have}
        known |= named
        return accept(request)


def refuse(status: int, body: Any = None, **headers: str) -> Any:
    """Return an answer that is always this status."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _request: (status, named, body or {"error": "refused"})
