"""Senders that keep at it until all they send is acknowledged, and the checker of what is stored.

    python deliveries.py plain URL,URL... WORKLOAD STOP     numbered records over plain HTTP
    python deliveries.py spool URL WORKLOAD STOP FOLDER     rows through the exporter's own spool
    python deliveries.py check DSN URL WORKLOAD=KIND:RECORDS...         compares every point

Each sender is a process of its own. It goes on until the file STOP is there, delivers what is
left, and prints how many records it sent. Record n holds step n; a plain one also overwrites step
0, whose history then tells whether any record was lost, doubled or out of order on the way.
"""

import asyncio
import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx

BATCH = 10  # records of a first attempt; the next one has more, as the exporter's has
MOST = 500
SHOWN = 5  # faults of a workload
KEPT = 64  # of the history of a step
PAUSE_S = 0.05
FINISHED_WITHIN_S = 240


def points(record: int) -> dict[str, float]:
    """What a record says of its own step."""
    return {"a": record / 7, "b": -record}


class PlainSender:
    """Numbered records of one stream, in order, over one connection to each of some replicas."""

    def __init__(self, urls: list[str], workload: str, *, turns: bool = True) -> None:
        self._addresses = [urlsplit(url).netloc for url in urls]
        self._connections: dict[str, http.client.HTTPConnection] = {}
        self._workload = workload
        self._turns = turns
        self.attempts = 0

    def close(self) -> None:
        """Close its connections."""
        for connection in self._connections.values():
            connection.close()

    def deliver(self, first: int, last: int) -> int:
        """Send records until they are acknowledged. Returns the last of those that went along."""
        while True:
            try:
                status, answer = self.post(first, last)
            except (OSError, http.client.HTTPException):
                status, answer = 0, {}
            if status == 200:
                return last
            if status == 409:
                self._deliver_others(first, last, answer["accepted"])
                return last
            if status not in {0, 503}:
                raise AssertionError(f"{status} {answer}")
            time.sleep(PAUSE_S)
            last = min(last + 1, first + MOST - 1)  # its start may be known by now

    def _deliver_others(self, first: int, last: int, known: list[tuple[int, int]]) -> None:
        new = [n for n in range(first, last + 1) if not any(a <= n <= b for a, b in known)]
        for start in [n for n in new if n - 1 not in new]:
            end = next(n for n in range(start, last + 1) if n + 1 not in new)
            for record in range(start, end + 1):  # one by one, so that none grows into a neighbour
                while self._refused(record):
                    time.sleep(PAUSE_S)

    def _refused(self, record: int) -> bool:
        try:
            return self.post(record, record)[0] != 200
        except (OSError, http.client.HTTPException):
            return True

    def post(self, first: int, last: int) -> tuple[int, dict]:
        """One attempt, at the next replica."""
        address = self._addresses[self.attempts % len(self._addresses)]
        self.attempts += 1
        connection = self._connections.setdefault(
            address, http.client.HTTPConnection(address, timeout=60)
        )
        metrics = []
        for n in range(first, last + 1):
            values = [(n, name, value) for name, value in points(n).items()]
            values += [(0, "turn", n)] if self._turns else []
            metrics += [
                {"name": name, "value": value, "step": step, "timestamp": 1000.0 + n}
                for step, name, value in values
            ]
        body = {"workload_uid": self._workload, "run_id": "r", "metrics": metrics}
        key = f"{self._workload}/{first}-{last}"
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        try:
            connection.request("POST", "/api/v1/wandb/metrics", json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        except (OSError, http.client.HTTPException):
            connection.close()
            raise


def send_plainly(urls: str, workload: str, stop: str) -> int:
    """Deliver batches until told to stop."""
    sender, sent = PlainSender(urls.split(","), workload), 0
    while not Path(stop).exists():
        sent = sender.deliver(sent + 1, sent + BATCH)
    return sent


def send_by_spool(url: str, workload: str, stop: str, folder: str) -> int:
    """Log rows as a training process does, without wandb; its sender's thread delivers them."""
    sys.path.insert(0, str(Path(__file__).parent / "exporter"))
    from streams import Bench  # noqa: PLC0415 - found by the path above

    from primus_lens_wandb_exporter import _frames  # noqa: PLC0415 - only a training process has it

    Path(folder).mkdir()
    bench = Bench(folder, f"{url}/api/v1", WORKLOAD_UID=workload, PRIMUS_LENS_WANDB_BATCH_SIZE="20")
    recorder, sent = bench.stream("r", name=workload), 0
    over = threading.Event()
    ticking = threading.Thread(target=tick_until, args=(bench, over))
    ticking.start()
    while not Path(stop).exists():
        sent += 1
        payload = json.dumps({"at": 1000.0 + sent, "values": points(sent)}).encode()
        with recorder.lock:
            recorder.row(_frames.PLAIN_ROW, sent, True, payload)
        time.sleep(0.002)
    over.set()
    ticking.join()
    bench.settle()
    bench.die()
    return sent


def tick_until(bench: Any, over: threading.Event) -> None:
    """Look at the spool as the sender's thread does, more often, with short back-offs."""
    while not over.wait(PAUSE_S):
        bench.tick()


async def faults(dsn: str, url: str, workload: str, kind: str, sent: int) -> list[str]:
    """Everything that is not as it was sent, in the rows and in what readers are told."""
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch(
        "SELECT serial, iteration, performance FROM training_performance WHERE workload_uid = $1",
        workload,
    )
    await connection.close()
    found = {(row["serial"], row["iteration"]): json.loads(row["performance"]) for row in rows}
    assert len(found) == len(rows)
    wrong = list(compared(found, kind, sent))
    asked = {"format": "columns", "metric": ["a", "b"]}
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.get(f"{url}/api/v1/workloads/{workload}/metrics/data", params=asked)
    for name in ("a", "b"):
        curves = [curve for curve in answer.json()["series"] if curve["metric"] == name]
        told = [pair for c in curves for pair in zip(c["step"], c["value"], strict=True)]
        if told != [(n, points(n)[name]) for n in range(1, sent + 1)]:
            wrong.append(f"the curve of {name} differs")
    return wrong


def compared(found: dict[tuple[int, int], dict], kind: str, sent: int) -> Iterator[str]:
    """Each step that is missing, has another value, was written twice, or is nobody's."""
    turns = found.pop((1, 0), {})
    for n in range(1, sent + 1):
        row = found.pop((1, n), None)
        if row is None:
            yield f"step {n} is missing"
        elif {name: row.get(name) for name in points(n)} != points(n):
            yield f"step {n} is {row}"
        elif "history" in row:
            yield f"step {n} was overwritten: {row['history']}"
    yield from (f"step {key} was never sent" for key in found)
    if kind == "plain":
        got = (turns["turn"], turns["history_total"], [e["turn"] for e in turns["history"]])
        if got != (sent, sent - 1, list(range(max(1, sent - KEPT), sent))):
            yield f"step 0 after {sent} records is {got}"


def check(dsn: str, url: str, *deliveries: str) -> int:
    """Tell every fault; 0 when there is none."""
    wrong = 0
    for each in deliveries:
        workload, _, amount = each.partition("=")
        kind, _, sent = amount.partition(":")
        found = asyncio.run(faults(dsn, url, workload, kind, int(sent)))
        wrong += len(found)
        for fault in found[:SHOWN]:
            print(f"{workload}: {fault}"[:1000])
        if found[SHOWN:]:
            print(f"{workload}: and {len(found) - SHOWN} faults more")
    return wrong


class Senders:
    """Some sender processes."""

    def __init__(self, urls: list[str], folder: Path, *, plain: int, spooled: int) -> None:
        folder.mkdir()
        self._stop = folder / "stop"
        self._sent: dict[str, str] = {}
        self._processes = {
            f"plain-{n}": self._start("plain", ",".join(urls), f"plain-{n}") for n in range(plain)
        } | {
            f"spool-{n}": self._start("spool", urls[0], f"spool-{n}", folder / f"spool-{n}")
            for n in range(spooled)
        }

    def _start(self, kind: str, urls: str, workload: str, *more: Path) -> subprocess.Popen:
        words = (kind, urls, workload, str(self._stop), *map(str, more))
        command = [sys.executable, __file__, *words]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self) -> dict[str, int]:
        """Let them deliver the rest. Returns how many records each sent."""
        self._stop.touch()
        sent = {}
        for workload, process in self._processes.items():
            out, err = process.communicate(timeout=FINISHED_WITHIN_S)
            assert process.returncode == 0, err
            sent[workload] = int(out)
        return sent

    def kill(self) -> None:
        """End those that still run."""
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
                process.communicate()


def checked(dsn: str, url: str, sent: dict[str, int]) -> str:
    """What a checker process says of all they sent; nothing when all is well."""
    amounts = [f"{workload}={workload.partition('-')[0]}:{n}" for workload, n in sent.items()]
    command = [sys.executable, __file__, "check", dsn, url, *amounts]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode or done.stdout else ""


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    if what == "check":
        sys.exit(min(check(*words), 1))
    print({"plain": send_plainly, "spool": send_by_spool}[what](*words))
