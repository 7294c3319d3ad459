"""One connection and its deadlines, while the server runs and while it stops."""

import asyncio
import contextlib
import socket

import uvicorn

from primus_lens.cli import _Server
from primus_lens.routes import connections
from primus_lens.settings import LimitSettings

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n"
PATIENT = LimitSettings()
SHORT = LimitSettings(header_s=0.2, body_s=0.2)


class App:
    """Answers once it may and, when it reads, has read everything."""

    def __init__(self, *, reads=True):
        self.reads = reads
        self.begun, self.may = asyncio.Event(), asyncio.Event()
        self.may.set()

    async def __call__(self, scope, receive, send):  # noqa: ARG002 - ASGI
        """ASGI."""
        self.begun.set()
        await self.may.wait()
        message = {"more_body": self.reads}
        while message.get("more_body"):
            message = await receive()
        headers = [(b"content-length", b"4")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"done"})


@contextlib.asynccontextmanager
async def serving(app, limits=PATIENT, *, drain_s=30):
    """A server and a connection to it: (server, reader, writer)."""
    config = uvicorn.Config(
        app,
        http=connections.bounded(limits),
        ws="none",
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=drain_s,
    )
    server = _Server(config, asyncio.Event())
    with socket.create_server(("127.0.0.1", 0)) as listening:
        task = asyncio.create_task(server.serve([listening]))
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        try:
            yield server, reader, writer
        finally:
            writer.close()
            server.should_exit = True
            await task


def headers_coming(server):
    """Whether a connection has begun a request."""
    half = connections._Coming.HEADERS
    return any(each._coming is half for each in server.server_state.connections)


def test_body_that_does_not_come_while_the_server_stops_is_told_to_try_later():
    """Half of the time to stop is for bodies under way; what is late then gets a 503."""

    async def scenario():
        app = App()
        async with serving(app, drain_s=0.4) as (server, reader, writer):
            writer.write(POST + b"x")
            await app.begun.wait()
            server.should_exit = True
            return await reader.read()

    answer = asyncio.run(scenario())
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: " in answer


def test_request_whose_headers_are_under_way_is_answered_while_the_server_stops():
    """It is the connection's last."""

    async def scenario():
        async with serving(App()) as (server, reader, writer):
            writer.write(GET[:20])
            while not headers_coming(server):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0)
            server.should_exit = True
            await server._draining.wait()
            writer.write(GET[20:])
            return await reader.read()

    answer = asyncio.run(scenario())
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer


def test_time_in_which_the_server_does_not_read_is_not_the_clients(monkeypatch):
    """A body that is not read on, because the application is busy, is not called late."""
    monkeypatch.setattr(connections, "_LOOK_AGAIN_S", 0.05)

    async def scenario():
        app = App()
        app.may.clear()
        async with serving(app, SHORT) as (_, reader, writer):
            writer.write(POST + b"x" * 199_999)
            await app.begun.wait()
            await asyncio.sleep(2 * SHORT.body_s)  # the deadline goes by
            app.may.set()
            writer.write(b"x")
            return await reader.readuntil(b"done")

    assert asyncio.run(scenario()).startswith(b"HTTP/1.1 200 ")


def test_body_nobody_reads_does_not_keep_a_connection():
    """After an early answer the rest of the body may come, within its time; then it is over."""

    async def scenario():
        async with serving(App(reads=False), SHORT) as (_, reader, writer):
            writer.write(POST + b"x")
            return await reader.read()

    answer = asyncio.run(scenario())
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.endswith(b"done")


def test_connection_serves_many_requests_with_one_timer():
    """A deadline that was met leaves the connection as it is."""

    async def scenario():
        async with serving(App(), SHORT) as (_, reader, writer):
            for _ in range(3):
                writer.write(GET)
                await reader.readuntil(b"done")
                await asyncio.sleep(SHORT.header_s)
            writer.write(GET)
            return await reader.readuntil(b"done")

    assert asyncio.run(scenario()).startswith(b"HTTP/1.1 200 ")
