"""Server and PostgreSQL killed and stopped under load; bench/killed.py does it for longer."""

import contextlib
import json
import random
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import httpx
import pytest
from deliveries import Senders, checked, compared, points
from serving import free_port, run


@pytest.mark.timeout(240)
def test_kills_lose_double_and_reorder_nothing(make_server, tmp_path):
    """Whatever ends when, all that was acknowledged is stored once, in order, as it was sent."""
    chance = random.Random(5)
    ends = ["killed"] * 3 + ["stopped"] + ["PostgreSQL killed"] * 2
    chance.shuffle(ends)
    running = make_server().start()
    senders = Senders([running.url], tmp_path / "senders", plain=3, spooled=1)
    try:
        for end in ends:
            threading.Event().wait(chance.uniform(0.2, 0.7))  # an end comes when it comes
            if end == "PostgreSQL killed":
                running.kill_postgres()
            else:
                number = signal.SIGTERM if end == "stopped" else signal.SIGKILL
                assert running.stop(number) == (0 if end == "stopped" else -number)
                running.start()
        sent = senders.finish()
    finally:
        senders.kill()
    assert min(sent.values()) > 0
    assert checked(running.own_dsn(), running.url, sent) == ""


GOOD = {(1, n): points(n) for n in (1, 2, 3)}
TURNS = {"turn": 3, "history_total": 2, "history": [{"turn": 1}, {"turn": 2}]}


@pytest.mark.parametrize(
    "changed, fault",
    [
        ({}, ""),
        ({(1, 2): None}, "step 2 is missing"),
        ({(1, 2): {**points(2), "b": -1}}, "step 2 is"),
        ({(1, 2): {**points(2), "history": [{}]}}, "step 2 was overwritten"),
        ({(2, 1): points(1)}, "never sent"),
        ({(1, 0): {**TURNS, "history": [{"turn": 2}, {"turn": 1}]}}, "step 0"),
        ({(1, 0): {**TURNS, "history_total": 3}}, "step 0"),
    ],
)
def test_checker_sees_every_kind_of_fault(changed, fault):
    """What the proof above would have to find, it finds."""
    rows = {**GOOD, (1, 0): TURNS, **changed}
    told = list(compared({key: row for key, row in rows.items() if row}, "plain", 3))
    assert len(told) == bool(fault)
    assert all(fault in each for each in told)


def test_requests_in_progress_are_answered_at_the_end(make_server, database_dsn, workload):
    """Told to stop, the server answers what it has, also a body half here, and ends with 0."""
    told_at = free_port()
    running = make_server(
        f"metrics: {{prometheus: {{port: {told_at}}}}}\ndatabase: {{dsn: '{database_dsn}'}}\n"
    ).start()
    late = json.dumps(report_of(workload, 99))
    head = (
        "POST /api/v1/wandb/metrics HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(late)}\r\n\r\n"
    )

    def received():
        text = httpx.get(f"http://127.0.0.1:{told_at}/metrics").text
        return 'wandb_requests_total{type="metrics"} 11.0' in text

    async def scenario(executor):
        connection = await asyncpg.connect(database_dsn)
        await connection.execute("BEGIN; LOCK TABLE training_performance")  # nothing gets stored
        slow = socket.create_connection(("127.0.0.1", running.port))
        slow.sendall((head + late[:20]).encode())
        waiting = [
            executor.submit(running.post, "/wandb/metrics", report_of(workload, step))
            for step in range(10)
        ]
        while not received():
            pass
        running.process.send_signal(signal.SIGTERM)
        while listens(running):
            pass
        slow.sendall(late[20:].encode())
        await connection.close()
        with slow:
            answered = slow.recv(100)
        return [each.result().status_code for each in waiting], answered

    with ThreadPoolExecutor(10) as executor:
        statuses, answered = run(scenario(executor))
    assert statuses == [200] * 10
    assert answered.startswith(b"HTTP/1.1 200 ")
    assert running.process.wait(60) == 0
    assert len(running.start().points(workload)) == 11


def report_of(workload, step):
    """One point."""
    return {"workload_uid": workload, "metrics": [{"name": "loss", "value": step, "step": step}]}


def listens(server):
    """Whether a connection is taken."""
    with contextlib.suppress(ConnectionError):
        socket.create_connection(("127.0.0.1", server.port)).close()
        return True
    return False
