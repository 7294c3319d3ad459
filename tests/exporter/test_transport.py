"""One POST, one verdict: what is sent with it and what each answer means."""

import base64
import contextlib
import gzip
import http.server
import json
import math
import socket
import ssl
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from receiver import accept, refuse

from primus_lens_wandb_exporter import _transport


@pytest.mark.parametrize(
    "status, kind",
    [
        (200, "accepted"),
        (202, "accepted"),
        (400, "poison"),
        (413, "split"),
        (415, "drop"),
        (422, "poison"),
        *[(status, "retry") for status in (301, 307, 401, 403, 404, 405, 408, 425, 429, 500, 503)],
    ],
)
def test_every_status_has_its_verdict(transport, receiver, status, kind):
    """The table of protocol/v1; what it does not name is kept, never thrown away."""
    receiver.answer = refuse(status)
    assert transport(receiver.url).post("/wandb/metrics", b"{}").kind == kind


def test_a_409_says_what_is_known(transport, receiver):
    """The accepted ranges come with the verdict."""
    receiver.answer = refuse(409, {"error": "x", "accepted": [[1, 4], [9, 9]]})
    found = transport(receiver.url).post("/wandb/metrics", b"{}", "s/1-9")
    assert (found.kind, found.known) == ("known", ((1, 4), (9, 9)))


UNUSABLE = [
    {"error": "x"},
    {"accepted": 3},
    {"accepted": [[1]]},
    [1],
    {"accepted": [[1, math.inf]]},
]


@pytest.mark.parametrize("body", UNUSABLE)
def test_a_409_that_cannot_be_read_is_kept(transport, receiver, body):
    """Without usable ranges nothing may be forgotten."""
    receiver.answer = refuse(409, body)
    assert transport(receiver.url).post("/wandb/metrics", b"{}").kind == "retry"


def test_a_409_nested_beyond_reading_is_kept():
    """An answer that would take Python's stack apart is one that cannot be read."""
    assert _transport._verdict(409, "", b"[" * 100_000).kind == "retry"


def test_a_redirect_is_not_followed(transport, receiver):
    """The one server that was named is the one that is told."""
    receiver.answer = refuse(307, Location=receiver.url + "/elsewhere")
    transport(receiver.url).post("/wandb/metrics", b"{}")
    assert [request.path for request in receiver.requests] == ["/api/v1/wandb/metrics"]


def test_large_bodies_are_compressed(transport, receiver):
    """From 1 KiB on a body travels as gzip; a small one as it is."""
    body = json.dumps({"metrics": [], "pad": "x" * 5000}).encode()
    sender = transport(receiver.url)
    sender.post("/wandb/metrics", body)
    sender.post("/wandb/metrics", b'{"metrics": []}')
    large, small = receiver.requests
    assert gzip.decompress(large.raw) == body
    assert len(large.raw) < 200
    assert "content-encoding" not in small.headers


def test_the_token_is_sent(transport, receiver):
    """A token goes along as a bearer token."""
    token = {"PRIMUS_LENS_API_TOKEN": "lens_1_x"}
    transport(receiver.url, **token).post("/x", b"{}")
    assert receiver.requests[0].headers["authorization"] == "Bearer lens_1_x"


def test_a_renewed_token_file_is_read_again(transport, receiver, tmp_path):
    """Kubernetes renews projected tokens in place; the next request carries the new one."""
    file = tmp_path / "token"
    file.write_text("one\n")
    sender = transport(receiver.url, PRIMUS_LENS_API_TOKEN_FILE=str(file))
    sender.post("/x", b"{}")
    file.write_text("two\n")
    sender.post("/x", b"{}")
    said = [request.headers["authorization"] for request in receiver.requests]
    assert said == ["Bearer one", "Bearer two"]


def test_the_proxy_of_the_environment_is_used_only_when_asked(transport, receiver, monkeypatch):
    """http_proxy alone changes nothing; with PRIMUS_LENS_USE_PROXY the proxy gets the request."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{receiver.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    elsewhere = "http://lens.invalid/api/v1"
    assert transport(elsewhere).post("/x", b"{}").kind == "retry"
    assert receiver.requests == []
    assert transport(elsewhere, PRIMUS_LENS_USE_PROXY="true").post("/x", b"{}").kind == "accepted"
    assert receiver.requests[0].path == "http://lens.invalid/api/v1/x"


SAID_TO_PROXY = "Basic " + base64.b64encode(b"me:p@ss").decode()


def test_a_proxy_is_told_who_asks(transport, receiver, monkeypatch):
    """User and password in the proxy's address are shown to the proxy."""
    monkeypatch.setenv("http_proxy", f"http://me:p%40ss@127.0.0.1:{receiver.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    found = transport("http://lens.invalid/api/v1", PRIMUS_LENS_USE_PROXY="true").post("/x", b"{}")
    assert found.kind == "accepted"
    assert receiver.requests[0].headers["proxy-authorization"] == SAID_TO_PROXY


def test_a_tunnel_is_asked_for_by_name(transport, monkeypatch):
    """On the way to an https server the proxy alone sees user and password."""
    with socket.create_server(("127.0.0.1", 0)) as proxy, ThreadPoolExecutor(1) as pool:
        monkeypatch.setenv("https_proxy", f"http://me:p%40ss@127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        sender = transport("https://lens.invalid/api/v1", PRIMUS_LENS_USE_PROXY="true")
        posted = pool.submit(sender.post, "/x", b"{}")
        connection, _ = proxy.accept()
        with connection, connection.makefile("rb") as asked:
            lines = [line.decode().strip() for line in iter(asked.readline, b"\r\n")]
        assert posted.result().kind == "retry"
    assert lines[0].startswith("CONNECT lens.invalid:443")
    assert f"Proxy-Authorization: {SAID_TO_PROXY}" in lines


def test_no_proxy_is_respected(transport, receiver, monkeypatch):
    """Hosts in no_proxy are reached directly."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    found = transport(receiver.url, PRIMUS_LENS_USE_PROXY="true").post("/x", b"{}")
    assert found.kind == "accepted"


def test_an_idle_connection_the_server_closed_is_opened_again(transport, receiver):
    """A kept connection that turns out to be closed costs a second try, not a failure."""
    sender = transport(receiver.url)
    sender.post("/x", b"{}")
    sender._connection.sock.shutdown(socket.SHUT_RDWR)
    assert sender.post("/x", b"{}").kind == "accepted"


def test_no_request_outlives_the_exit(transport, receiver):
    """After the time set for the exit nothing is waited for any more."""
    receiver.answer = lambda _request: "stall"
    sender = transport(receiver.url)
    sender.open_until = time.monotonic() + 2
    assert sender.post("/x", b"{}").kind == "retry"
    assert sender.post("/x", b"{}").said == "no time left before exit"
    receiver.wait_for(lambda r: r.requests)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    "text, low, high",
    [("7", 7, 7), ("999999", 3600, 3600), ("-1", 0, 0), ("soon", 0, 0), ("", 0, 0)],
)
def test_retry_after_is_bounded(transport, receiver, text, low, high):
    """Seconds count up to an hour; what cannot be read counts as nothing."""
    receiver.answer = refuse(503, Retry_After=text)
    assert low <= transport(receiver.url).post("/x", b"{}").retry_after_s <= high


def test_a_certificate_is_checked(transport, tmp_path, monkeypatch):
    """Https works with a trusted certificate, and with no other."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )  # fmt: skip

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            """Accept."""
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            """Say nothing."""

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *args):
            """A client that does not trust us hangs up."""

    server = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"https://localhost:{server.server_address[1]}/api/v1"
    assert "CERTIFICATE_VERIFY_FAILED" in transport(url).post("/x", b"{}").said
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    trusting = transport(url)
    assert trusting.post("/x", b"{}").kind == "accepted"
    trusting.close()
    server.shutdown()
    server.server_close()


def test_accepting_means_the_server_answered(transport, receiver):
    """With nobody listening the verdict is to keep, and it says why."""
    receiver.answer = accept
    receiver.close()
    found = transport(receiver.url).post("/x", b"{}")
    assert found.kind == "retry"
    assert "refused" in found.said


def test_a_page_for_people_is_no_receipt():
    """A login page answers 200 to everything; what was sent to it is kept."""
    said = _transport._verdict(200, "", b"\n<!DOCTYPE html><title>Log in</title>")
    assert (said.kind, said.status) == ("retry", 200)
    assert _transport._verdict(204, "", b"").kind == "accepted"


SLOW = {
    "headers": (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x", b"\r\nContent-Length: 2\r\n\r\n{}"),
    "a body": (b"HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n{", b" ", b"}"),
    "promises": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 204 OK\r\n\r\n"),
}


@pytest.mark.parametrize("part", SLOW)
def test_an_answer_that_trickles_is_given_up(transport, monkeypatch, part):
    """The time limit is for the whole answer: a byte now and then does not prolong it."""
    monkeypatch.setattr(_transport, "TIMEOUT_S", 0.5)
    first, drop, last = SLOW[part]
    gone = threading.Event()

    def serve(listening):
        connection, _ = listening.accept()
        with connection, contextlib.suppress(OSError):
            received = b""
            while not received.endswith(b"{}"):
                received += connection.recv(65536)
            connection.sendall(first)
            for _ in range(40):
                gone.wait(0.05)
                connection.sendall(drop)
            connection.sendall(last)
            gone.wait(10)

    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor() as pool:
        served = pool.submit(serve, listening)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/api/v1"
        assert transport(url).post("/wandb/metrics", b"{}").kind == "retry"
        gone.set()
        served.result()
