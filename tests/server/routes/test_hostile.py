"""What a hostile or broken client sends is refused in words, and nobody else notices.

All of it meets one server while another client keeps reporting to it.
"""

import gzip
import http.client
import json
import socket
import sys
import threading
import uuid
from collections.abc import Iterator
from typing import NamedTuple

import httpx
import pytest
from serving import NO_SELF_METRICS, Server, fresh_database

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

METRICS, LOGS = "/api/v1/wandb/metrics", "/api/v1/wandb/logs"
SHORT = "limits: {header_s: 0.5, body_s: 0.5}\n"
NOTHING_MORE = object()


class Told(NamedTuple):
    """An answer."""

    status: int
    document: dict
    headers: http.client.HTTPMessage


def told(stream: socket.socket) -> Told:
    """The answer that comes on a socket."""
    response = http.client.HTTPResponse(stream)
    response.begin()
    return Told(response.status, json.loads(response.read()), response.headers)


def raw(server: Server, *pieces: bytes) -> Told:
    """Send bytes as they are and wait for the answer, which may come before all are sent."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as stream:
        try:
            for piece in pieces:
                stream.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return told(stream)


def head(*headers: str, path: str = METRICS) -> bytes:
    """The head of a POST."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def report(body: bytes, *headers: str, path: str = METRICS) -> bytes:
    """A whole POST."""
    return head(*headers, f"Content-Length: {len(body)}", path=path) + body


def point(**given: str) -> bytes:
    """A report of one point whose fields are JSON texts."""
    fields = {"name": '"loss"', "value": "1", "step": "1"} | given
    text = ", ".join(f'"{name}": {value}' for name, value in fields.items())
    return ('{"workload_uid": "w", "metrics": [{' + text + "}]}").encode()


def row(value: str) -> bytes:
    """A report of one row that holds a JSON text."""
    return ('{"workload_uid": "w", "logs": [{"step": 1, "data": {"x": ' + value + "}}]}").encode()


GOOD = point()
GZIP, ZSTD = gzip.compress(GOOD), zstd.compress(GOOD)
BOMB = b" " * (64 << 20)
DEEP = "[" * 200_000 + "]" * 200_000
# A frame of RLE blocks: the header says 1 TiB in one segment, then says nothing of its size.
DECLARES_A_TEBIBYTE = b"\x28\xb5\x2f\xfd\xe0" + (1 << 40).to_bytes(8, "little")
RLE = (((128 << 10) << 3) | 2).to_bytes(3, "little") + b" "
BOMB_OF_BLOCKS = b"\x28\xb5\x2f\xfd\x00\x68" + RLE * 2000
ENDLESS = [b"100000\r\n" + b" " * (1 << 20) + b"\r\n"] * 20

HOSTILE = {
    "NaN literal": (400, report(point(value="NaN"))),
    "Infinity literal": (400, report(point(value="-Infinity"))),
    "NaN literal in a row": (400, report(row("NaN"), path=LOGS)),
    "value beyond float64": (422, report(point(value="1e400"))),
    "value beyond float64 in a row": (422, report(row("1e400"), path=LOGS)),
    "step of 2^63": (422, report(point(step=str(2**63)))),
    "bad UTF-8": (400, report(GOOD.replace(b"loss", b"\xff"))),
    "lone surrogate": (400, report(point(name=r'"\ud800"'))),
    "lone surrogate in a row": (400, report(row(r'"\udc00"'), path=LOGS)),
    "NUL in a name": (422, report(point(name=r'"a\u0000"'))),
    "NUL in a row": (422, report(row(r'"a\u0000"'), path=LOGS)),
    "200,000 deep": (400, report(point(tags=DEEP))),
    "200,000 deep in a row": (400, report(row(DEEP), path=LOGS)),
    "200,000 deep beside the point": (400, report(b'{"x": ' + DEEP.encode() + b"}")),
    "key that comes twice, at last wrong": (422, report(point(step='1, "step": "x"'))),
    "cut gzip": (400, report(GZIP[:-5], "Content-Encoding: gzip")),
    "two gzip members": (400, report(GZIP * 2, "Content-Encoding: gzip")),
    "gzip in gzip": (400, report(gzip.compress(GZIP), "Content-Encoding: gzip")),
    "gzip bomb": (413, report(gzip.compress(BOMB), "Content-Encoding: gzip")),
    "no gzip": (400, report(GOOD, "Content-Encoding: gzip")),
    "cut zstd": (400, report(ZSTD[:-5], "Content-Encoding: zstd")),
    "two zstd frames": (400, report(ZSTD * 2, "Content-Encoding: zstd")),
    "zstd in zstd": (400, report(zstd.compress(ZSTD), "Content-Encoding: zstd")),
    "zstd bomb": (413, report(zstd.compress(BOMB), "Content-Encoding: zstd")),
    "zstd bomb that declares no size": (413, report(BOMB_OF_BLOCKS, "Content-Encoding: zstd")),
    "zstd that declares a tebibyte": (
        400,
        report(DECLARES_A_TEBIBYTE + RLE * 2000, "Content-Encoding: zstd"),
    ),
    "no zstd": (400, report(GOOD, "Content-Encoding: zstd")),
    "two codings": (415, report(GZIP, "Content-Encoding: gzip, zstd")),
    "two coding headers": (415, report(GZIP, "Content-Encoding: gzip", "Content-Encoding: gzip")),
    "unknown coding": (415, report(GOOD, "Content-Encoding: br")),
    "20,000 headers": (431, head(*[f"X-{n}: {n}" for n in range(20_000)])),
    "101 headers": (431, head(*[f"X-{n}: {n}" for n in range(101)])),
    "one long header": (431, head("X: " + "x" * (1 << 20))),
    "long path": (431, b"GET /" + b"x" * (1 << 20) + b" HTTP/1.1\r\n\r\n"),
    "no end of headers": (431, *[b"POST / HTTP/1.1\r\n", *[b"X: y\r\n" * 10_000] * 10]),
    "negative Content-Length": (400, head("Content-Length: -1") + GOOD),
    "absurd Content-Length": (400, head(f"Content-Length: {10**30}") + GOOD),
    "huge Content-Length": (413, head(f"Content-Length: {10**15}") + GOOD),
    "Content-Length in words": (400, head("Content-Length: ten") + GOOD),
    "two Content-Lengths": (400, head("Content-Length: 1", "Content-Length: 2") + GOOD),
    "length and chunked": (400, head("Content-Length: 5", "Transfer-Encoding: chunked") + GOOD),
    "bad chunk": (400, head("Transfer-Encoding: chunked") + b"nonsense\r\n"),
    "chunks without end": (413, head("Transfer-Encoding: chunked"), *ENDLESS),
    "slow headers": (408, b"POST / HTTP/1.1\r\nHost: loc"),
    "slow body": (408, head("Content-Length: 100") + b'{"workload_uid": '),
    "slow chunks": (408, head("Transfer-Encoding: chunked") + b"5\r\n     \r\n"),
    "WebSocket": (
        400,
        head("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x"),
    ),
    "upgrade with a body": (400, report(GOOD, "Connection: Upgrade", "Upgrade: h2c")),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100),
    "HTTP/2": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "path that is none": (400, b"GET http://localhost HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "CONNECT": (400, b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n"),
}


@pytest.fixture(scope="module")
def short_server(open_directory, postgres) -> Iterator[Server]:
    """A server whose patience is short."""
    dsn = fresh_database(postgres)
    config = open_directory / "hostile.yaml"
    config.write_text(f"{NO_SELF_METRICS}{SHORT}database: {{dsn: '{dsn}'}}\n")
    running = Server(open_directory / "hostile", "--config", str(config)).start()
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="module", autouse=True)
def bystander(short_server) -> Iterator[None]:
    """A client that reports all the while and must never be disturbed."""
    over = threading.Event()
    answers = []

    def keep_reporting():
        with httpx.Client(timeout=60) as client:
            while not over.wait(0.02):
                metric = {"name": "loss", "value": len(answers), "step": len(answers)}
                body = {"workload_uid": "bystander", "metrics": [metric]}
                answers.append(client.post(short_server.url + METRICS, json=body).status_code)

    thread = threading.Thread(target=keep_reporting)
    thread.start()
    yield
    over.set()
    thread.join()
    assert set(answers) == {200}
    assert len(short_server.points("bystander")) == len(answers)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_request_is_refused_in_words(short_server, name):
    """Each is the right 4xx with a sentence, and the next request is answered as ever."""
    status, *pieces = HOSTILE[name]
    answer = raw(short_server, *pieces)
    assert answer.status == status, answer.document
    assert answer.document["error"]
    assert raw(short_server, report(GOOD)).status == 200


@pytest.mark.parametrize(
    "coding, body",
    [("gzip", GZIP), ("zstd", ZSTD), ("GZip", GZIP)],
    ids=["gzip", "zstd", "GZip"],  # gzip holds the time, and a test's name must not
)
def test_compressed_report_is_stored(short_server, coding, body):
    """What honest senders compress is read."""
    answer = raw(short_server, report(body, f"Content-Encoding: {coding}"))
    assert answer.document["success_count"] == 1


@pytest.mark.parametrize("body", [b"", point()[:40]])
def test_many_slow_clients_keep_nobody_waiting(short_server, body):
    """A hundred clients that never finish, announcing more than memory allows, hold nothing up."""
    slow = []
    for _ in range(100):
        stream = socket.create_connection(("127.0.0.1", short_server.port), timeout=60)
        stream.sendall(head(f"Content-Length: {8 << 20}") + body if body else b"POST / HTT")
        slow.append(stream)
    assert raw(short_server, report(GOOD)).status == 200
    assert {told(stream).status for stream in slow} == {408}
    for stream in slow:
        stream.close()


def test_offer_of_http2_is_passed_over(short_server):
    """A reader that offers h2c, as Java's client and curl --http2 do, is answered in HTTP/1.1."""
    lines = ["GET /healthz HTTP/1.1", "Host: localhost", "Connection: Upgrade", "Upgrade: h2c"]
    answer = raw(short_server, "\r\n".join([*lines, "", ""]).encode())
    assert answer.status == 200
    assert answer.headers["Connection"] == "close"


def test_last_of_two_equal_keys_counts(short_server):
    """A key that comes twice is no error; as in most JSON readers the last one is meant."""
    workload = uuid.uuid4().hex
    body = b'{"workload_uid": "x", ' + point(value='1, "value": 2')[1:]
    assert (
        raw(short_server, report(body.replace(b'"w"', b'"%s"' % workload.encode()))).status == 200
    )
    assert short_server.points(workload) == {("loss", 1): 2}


def test_refused_request_lets_the_one_before_be_answered(short_server):
    """Behind a good request on the same connection nonsense follows: both are answered for."""
    workload = uuid.uuid4().hex
    body = point().replace(b'"w"', b'"%s"' % workload.encode())
    assert raw(short_server, report(body) + b"nonsense\r\n\r\n").status == 200
    assert short_server.points(workload) == {("loss", 1): 1}


def test_silent_connection_is_closed(short_server):
    """Who connects and says nothing is let go without a word."""
    with socket.create_connection(("127.0.0.1", short_server.port), timeout=60) as stream:
        assert stream.recv(1) == b""


def test_connections_are_bounded(make_server, database_dsn):
    """One connection more than allowed is told when to come back; those there go on."""
    config = f"{NO_SELF_METRICS}limits: {{connections: 3}}\ndatabase: {{dsn: '{database_dsn}'}}\n"
    running = make_server(config).start()
    with httpx.Client() as there:
        assert there.get(f"{running.url}/healthz").status_code == 200
        others = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(2)]
        refused = raw(running)
        assert refused.status == 503
        assert refused.headers["Retry-After"]
        assert there.get(f"{running.url}/healthz").status_code == 200
    for stream in others:
        stream.close()
