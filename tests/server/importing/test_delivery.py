"""What becomes of an import when the server refuses, and what a person sees of it."""

import os
import pty
import signal
import subprocess
import sys

import pytest

from primus_lens.client import Client, LensApiError
from primus_lens.importing.delivery import Delivery
from primus_lens.importing.records import ImportFailed
from primus_lens.importing.wandb_file import WandbFile
from primus_lens.model.points import IMPORT_STREAM


@pytest.fixture
def deliver(workload):
    """Imports a file within this process, over a server; returns its source."""

    def run(server, path):
        source = WandbFile(path)
        with Client(server.url) as client:
            list(Delivery(client.connection, workload, patience_s=5).deliver(source))
        return source

    return run


def test_record_that_is_refused_costs_itself(server, gate, workload, recorded, deliver):
    """A row the server will not take is found by halving, left out and counted."""
    gate.passing, gate.refusing = 10_000, b'"step":1234,'
    source = deliver(gate, recorded["many rows"])
    assert source.account.refused == 3
    steps = {step for _, step in server.points(workload)}
    assert steps == set(range(6000)) - {1234}


def test_config_that_is_refused_costs_itself(server, gate, workload, recorded, deliver):
    """A config the server will not take is left out; what else is known of the run arrives."""
    gate.passing, gate.refusing = 10_000, b'"config":'
    deliver(gate, recorded["threads"])
    [run] = server.get(f"/workloads/{workload}").json()["runs"]
    assert (run["state"], run["config"]) == ("finished", None)


def test_refusal_of_the_importer_is_told_at_once(answering_401, deliver, recorded):
    """A server that asks for another token is not asked twice."""
    with pytest.raises(LensApiError, match="this server asks for a token") as caught:
        deliver(answering_401, recorded["threads"])
    assert caught.value.status == 401


def test_facts_that_are_not_let_in_are_told(gate, deliver, recorded, monkeypatch):
    """A token that is revoked between the points and the facts is told."""
    gate.passing, gate.refusing = 10_000, b'"run":'
    monkeypatch.setattr(type(gate), "refusal", 403)
    with pytest.raises(LensApiError, match="refused") as caught:
        deliver(gate, recorded["threads"])
    assert caught.value.status == 403


def test_facts_refused_for_good_are_told(gate, deliver, recorded):
    """What a server refuses again without the config is an error."""
    gate.passing, gate.refusing = 10_000, b'"run":'
    with pytest.raises(LensApiError, match="refused"):
        deliver(gate, recorded["threads"])


@pytest.fixture
def answering_401(gate, monkeypatch):
    """A server that knows no such token."""
    monkeypatch.setattr(
        gate.RequestHandlerClass,
        "do_POST",
        lambda self: self.answer(401, b'{"error": "this server asks for a token"}', {}),
    )
    return gate


def test_parts_that_do_not_fit_are_told(server, workload, recorded, deliver):
    """When the server has half a record under this name, nothing is sent over it."""
    path = recorded["threads"]
    source = WandbFile(path)
    first = next(record for record in source.records() if record.points)
    with Client(server.url) as client:
        stream = Delivery(client.connection, workload).stream(source)
    server.post(
        "/wandb/metrics",
        {"workload_uid": workload, "run_id": source.run_id, "metrics": []},
        **{"Idempotency-Key": f"{stream}/{first.first + 1}-{first.first + 1}"},
    )
    with pytest.raises(ImportFailed, match=r"has .* in other parts than it is read in now"):
        deliver(server, path)


def test_stream_is_of_one_workload_and_file(recorded):
    """Another workload or another run is another stream, which the server takes for an import."""
    with Client() as client:
        streams = {
            Delivery(client.connection, workload).stream(WandbFile(recorded[name]))
            for workload in ("a", "b")
            for name in ("threads", "many rows")
        }
    assert len(streams) == 4
    assert all(stream.startswith(IMPORT_STREAM) for stream in streams)


def start_import(path, workload, url, **pipes):
    """The command, running."""
    words = ["import", "wandb", str(path), "--workload", workload, "--url", url]
    return subprocess.Popen([sys.executable, "-m", "primus_lens", *words], **pipes)


def test_interruption_is_told(gate, workload, recorded):
    """Ctrl-C ends the command with what to do next and the shell's exit status for it."""
    gate.passing = 1
    with start_import(
        recorded["many rows"], workload, gate.url, stderr=subprocess.PIPE, text=True
    ) as running:
        assert gate.stalled.wait(60)
        running.send_signal(signal.SIGINT)
        assert running.stderr.read() == "interrupted; the same command goes on where it stopped\n"
    assert running.returncode == 130


def test_terminal_sees_how_it_goes(server, workload, recorded):
    """On a terminal a bar shows the run, its points and points a second."""
    ours, theirs = pty.openpty()
    with start_import(recorded["many rows"], workload, server.url, stderr=theirs) as running:
        os.close(theirs)
        shown = bytearray()
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:  # a terminal's way to say that its other end is closed
            os.close(ours)
    assert running.returncode == 0
    assert b" points, " in shown
    assert b"/s" in shown


def test_run_id_of_a_wandb_file_is_its_own(import_command, recorded, workload):
    """A .wandb file names its run; another name is refused."""
    words = ("wandb", recorded["threads"], "--workload", workload, "--run-id", "mine")
    done = import_command(*words)
    assert done.returncode == 1
    assert "says itself which run it is" in done.stderr
