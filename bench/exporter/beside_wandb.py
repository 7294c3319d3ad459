"""What a whole job pays beside plain wandb: memory, threads, speed of a busy loop, time to end.

A job computes in a busy loop and logs 50 scalars 10, then 100 times a second. It runs with wandb
alone, with this exporter and, where `pluto-ml` is installed beside it, with that hook (against a
local stand-in of its server) in turn, A B A B; each figure is a median over the pairs, speed a
ratio to the plain run beside it. Helpers a hook starts count: memory is that of the process and its
Python children. "to end" is from the call of run.finish to the death of the process.

    python bench/exporter/beside_wandb.py [--pairs 3] [--seconds 3]
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "exporter"))

from receiver import Receiver, accept

BUDGET = {"MiB": 15.0, "threads": 1, "to end": 2.0}
RATES = (10, 100)

JOB = r"""
import json, os, sys, time
import wandb
mode, seconds, rates = sys.argv[1], float(sys.argv[2]), [int(word) for word in sys.argv[3:]]
run = wandb.init(project="bench", mode=mode)
data = {f"train/metric_{n}": 0.1234567 * n for n in range(50)}
def busy(rate):
    done, begin = 0, time.perf_counter()
    due = begin
    while (now := time.perf_counter()) < begin + seconds:
        if now >= due:
            due += 1 / rate
            data["train/metric_0"] = now
            run.log(data)
        done += sum(n % 7 for n in range(200)) > 0
    return done / seconds
busy(rates[-1])
speed = [busy(rate) for rate in rates]
def field(path, name):
    with open(path) as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name))
def children(parent):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if field(f"/proc/{pid}/status", "PPid:") == parent:
                yield int(pid)
                yield from children(int(pid))
        except OSError:
            pass
kib, count = field("/proc/self/status", "VmRSS:"), 0
for pid in children(os.getpid()):
    if "python" in os.readlink(f"/proc/{pid}/exe"):
        kib, count = kib + field(f"/proc/{pid}/smaps_rollup", "Pss:"), count + 1
threads = len(os.listdir("/proc/self/task"))
print(json.dumps({"speed": speed, "MiB": kib / 1024, "threads": threads, "processes": count}))
sys.stdout.flush()
run.finish()
"""


class Stub(BaseHTTPRequestHandler):
    """Enough of Pluto's server for its client to log to it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Take everything."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        while self.headers.get("Transfer-Encoding") == "chunked":
            size = int(self.rfile.readline() or b"0", 16)
            self.rfile.read(size + 2)
            if not size:
                break
        said = {"runId": 1, "displayId": "B-1", "resumed": False, "url": "", "status": "RUNNING"}
        body = json.dumps({**said, "organization": {"slug": "bench"}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_GET = do_POST  # noqa: N815 - the names http.server calls

    def log_message(self, *args: Any) -> None:
        """Keep the table clean."""


def surroundings(kind: str, folder: str, lens: str, pluto: str) -> dict[str, str]:
    """Return the environment of a job of this kind."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": folder,
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
        "POD_NAME": "bench",
        "PRIMUS_LENS_WANDB_HOOK": "true" if kind == "lens" else "false",
        "PRIMUS_LENS_API_BASE_URL": lens,
        "PRIMUS_LENS_WANDB_SPOOL_DIR": folder,
        "PLUTO_DISABLE_TELEMETRY": "1",
    }
    if kind == "pluto":
        env["PLUTO_API_KEY"] = "bench"
        env |= {f"PLUTO_URL_{part}": pluto for part in ("APP", "API", "INGEST", "PY")}
    return env


def run(kind: str, mode: str, seconds: float, lens: str, pluto: str) -> dict[str, Any]:
    """Run one job; returns what it measured and how long it took to end."""
    with tempfile.TemporaryDirectory(prefix="beside-", ignore_cleanup_errors=True) as folder:
        job = subprocess.Popen(
            [sys.executable, "-c", JOB, mode, str(seconds), *map(str, RATES)],
            cwd=folder,
            env=surroundings(kind, folder, lens, pluto),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = job.stdout.readline()
        while line and not line.startswith('{"speed"'):
            line = job.stdout.readline()
        begin = time.perf_counter()
        _, err = job.communicate(timeout=120)
        if not line or (job.returncode and kind != "pluto"):
            sys.exit(f"the job of {kind} in mode {mode} failed:\n{err}")
        why = err.strip().rpartition("\n")[2] if job.returncode else ""
        return {**json.loads(line), "to end": time.perf_counter() - begin, "failed": why}


def median(pairs: list[Any], of: Any) -> float:
    """Return the median of a function of the pairs."""
    return statistics.median(of(plain, with_it) for plain, with_it in pairs)


def compare(mode: str, kinds: list[str], chosen: Any, lens: str, pluto: str) -> bool:
    """Measure each kind against plain wandb, print a line each; whether ours keeps its budget."""
    rounds = []
    for _ in range(chosen.pairs):
        kind_to_run = ("plain", *kinds)
        rounds.append({kind: run(kind, mode, chosen.seconds, lens, pluto) for kind in kind_to_run})
    kept = True
    for kind in kinds:
        pairs = [(one["plain"], one[kind]) for one in rounds]
        speeds = [
            median(pairs, lambda a, b, at=at: b["speed"][at] / a["speed"][at])
            for at in range(len(RATES))
        ]
        added = {
            name: median(pairs, lambda a, b, name=name: b[name] - a[name])
            for name in ("MiB", "threads", "processes", "to end")
        }
        cells = "  ".join(f"{speed:11.3f}" for speed in speeds)
        print(
            f"{mode:9} {kind:6} {cells}  {added['MiB']:9.1f}  {added['threads']:8.0f}"
            f"  {added['processes']:10.0f}  {added['to end']:10.2f}",
            flush=True,
        )
        for why in {one[kind]["failed"] for one in rounds} - {""}:
            print(f"{'':9} {'':6} and the job fails: {why}")
        if kind == "lens":
            kept = all(added[name] <= most for name, most in BUDGET.items())
    return kept


def main() -> int:
    """Measure and print; status 1 when the exporter takes more than its budget."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    chosen = parser.parse_args()
    receiver = Receiver()
    stub = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    stub.daemon_threads = True
    threading.Thread(target=stub.serve_forever, daemon=True).start()
    pluto = f"http://127.0.0.1:{stub.server_address[1]}"
    kinds = ["lens", "pluto"] if importlib.util.find_spec("pluto") else ["lens"]
    print("beside plain wandb:   speed of a busy loop, as a ratio         added")
    heads = "  ".join(f"{rate:>5} rows/s" for rate in RATES)
    print(f"mode      hook    {heads}        MiB   threads   processes  s to end")
    kept = compare("offline", kinds, chosen, receiver.url, pluto)
    kept = compare("disabled", kinds, chosen, receiver.url, pluto) and kept
    receiver.answer = lambda _request: "stall"
    print("the server hangs, then is not there")
    kept = compare("offline", ["lens"], chosen, receiver.url, pluto) and kept
    kept = compare("offline", ["lens"], chosen, "http://127.0.0.1:9/api/v1", pluto) and kept
    receiver.answer = accept
    receiver.close()
    print(f"budget {BUDGET}: {'kept' if kept else 'MISSED'}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
