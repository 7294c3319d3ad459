"""Runs recorded by real wandb, a command that imports, and a server that can be made to stall."""

import gzip
import http.server
import json
import os
import subprocess
import sys
import threading

import httpx
import pytest
from scenarios import SCENARIOS

EACH_SCENARIO_A_RUN = """
import json, math, os, sys, threading
import wandb
settings = wandb.Settings(**json.loads(sys.argv[1]))
for number, scenario in enumerate(json.load(sys.stdin)):
    run = wandb.init(project="p", id=f"r{number}", settings=settings)
    exec(scenario, {"wandb": wandb, "run": run, "threading": threading, "math": math})
    run.finish()
"""
MANY_ROWS = "for i in range(6000): wandb.log({'loss': 1 / (i + 1), 'i': 2**53 + i, 'n': math.nan})"


def pytest_collection_modifyitems(items):
    """Mark the tests that need a run recorded by wandb."""
    for item in items:
        if "recorded" in getattr(item, "fixturenames", ()):
            item.add_marker("wandb")


def record(home, scenarios, **settings):
    """Run scenarios under a real offline wandb; returns their .wandb files, in order."""
    home.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
        "WANDB_DIR": str(home),
        "WANDB_ERROR_REPORTING": "false",
        "PRIMUS_LENS_WANDB_HOOK": "false",
    }
    command = [sys.executable, "-c", EACH_SCENARIO_A_RUN, json.dumps(settings)]
    done = subprocess.run(
        command,
        env=environment,
        input=json.dumps(scenarios),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = {path.stem: path for path in home.glob("wandb/offline-run-*/*.wandb")}
    return [found[f"run-r{number}"] for number in range(len(scenarios))]


@pytest.fixture(scope="session")
def record_runs():
    """Records scenarios in a folder of their own."""
    return record


@pytest.fixture(scope="session")
def recorded(tmp_path_factory):
    """The .wandb file of each scenario by its name, and of one that logs 6,000 rows."""
    scenarios = {**SCENARIOS, "many rows": MANY_ROWS}
    paths = record(tmp_path_factory.mktemp("recorded") / "home", list(scenarios.values()))
    return dict(zip(scenarios, paths, strict=True))


@pytest.fixture
def import_command(server):
    """Runs `primus-lens import` in a process of its own, to its end."""

    def command(*words, url=server.url):
        return subprocess.run(
            [sys.executable, "-m", "primus_lens", "import", *map(str, words), "--url", url],
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )

    return command


class Gate(http.server.ThreadingHTTPServer):
    """Passes POSTs on to a server: so many of them, then it keeps silent.

    passing: how many more go through. stalled: set once one is held back for good. busy: how many
    are answered with 503 first. refusing: those whose body holds this text get
    the status `refusal`.
    """

    daemon_threads = True
    refusal = 422

    def __init__(self, url):
        super().__init__(("127.0.0.1", 0), _Passing)
        self.target = url
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.passing = 0
        self.busy = 0
        self.refusing = b""
        self.stalled = threading.Event()
        self.opened = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        """Stop."""
        self.opened.set()
        self.shutdown()
        self.server_close()


class _Passing(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.busy:
            self.server.busy -= 1
            self.answer(503, b'{"error": "too busy"}', {"Retry-After": "0"})
            return
        if self.server.refusing and self.server.refusing in gzip.decompress(body):
            self.answer(self.server.refusal, b'{"error": "refused"}', {})
            return
        if not self.server.passing:
            self.server.stalled.set()
            self.server.opened.wait()
            return
        self.server.passing -= 1
        names = ("Content-Type", "Content-Encoding", "Idempotency-Key")
        headers = {name: self.headers[name] for name in names if name in self.headers}
        url = self.server.target + self.path
        passed = httpx.post(url, content=body, headers=headers, timeout=30)
        self.answer(passed.status_code, passed.content, {})

    def answer(self, status, body, headers):
        """Send an answer."""
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def gate(server):
    """A gate before the session's server."""
    made = Gate(server.url)
    yield made
    made.close()
