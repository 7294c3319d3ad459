"""Many senders in one process: each a connection of its own, waiting for each answer."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence

HEAD_ENDS = b"\r\n\r\n"


def request(workload: str, record: int, *, steps: int, metrics: int) -> bytes:
    """A whole POST of some steps that no other record of the workload has."""
    first = record * steps
    points = [
        {"name": f"train/metric_{n}", "value": (step * 31 + n) / 7, "step": step, "timestamp": at}
        for step in range(first, first + steps)
        for at in [1.7e9 + step / 4]
        for n in range(metrics)
    ]
    fields = {"source": "wandb", "workload_uid": workload, "run_id": "r", "metrics": points}
    body = json.dumps(fields, separators=(",", ":")).encode()
    head = (
        "POST /api/v1/wandb/metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: application/json\r\nIdempotency-Key: {workload}/{record}-{record}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Sender(asyncio.Protocol):
    """Sends its requests one after another; a 503 is sent again when its Retry-After says so."""

    def __init__(self, requests: Sequence[bytes], statuses: Counter[str]) -> None:
        self._left = list(reversed(requests))
        self._statuses = statuses
        self._got = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Send the first one."""
        self._transport = transport
        self._next()

    def _next(self) -> None:
        if self._left:
            self._transport.write(self._left[-1])
        else:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Count an answer once it is here as a whole."""
        self._got += data
        head, end, body = self._got.partition(HEAD_ENDS)
        if not end:
            return
        lines = head.decode().lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:])
        if len(body) < int(headers["content-length"]):
            return
        self._got = b""
        status = lines[0].split()[1]
        retry_after = headers.get("retry-after")
        if status == "503" and retry_after:
            self._statuses["503 with Retry-After"] += 1
            asyncio.get_running_loop().call_later(float(retry_after), self._next)
            return
        self._statuses[status] += 1
        self._left.pop()
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, or a connection that broke."""
        if self._left:
            self._statuses[f"broken off: {exc!r}"] += 1
        self.done.set_result(None)


async def load(port: int, requests: Iterable[Sequence[bytes]]) -> tuple[Counter[str], float]:
    """Let a sender for each list of requests send them all. Returns answers and seconds."""
    statuses: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    senders = [Sender(each, statuses) for each in requests]
    begin = time.perf_counter()
    await asyncio.gather(
        *(loop.create_connection(lambda s=sender: s, "127.0.0.1", port) for sender in senders)
    )
    await asyncio.gather(*(sender.done for sender in senders))
    return statuses, time.perf_counter() - begin
