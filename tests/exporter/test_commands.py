"""doctor, status and drain: for people, and for init and clean-up jobs."""

import hashlib
import re
from pathlib import Path

import pytest
import wandb
from receiver import accept, refuse
from streams import Bench, log, steps

from primus_lens_wandb_exporter import __main__ as commands
from primus_lens_wandb_exporter import __version__


@pytest.fixture
def bench(tmp_path, receiver, monkeypatch):
    """A sender on the folder the commands look at."""
    made = Bench(tmp_path, receiver.url)
    for name, text in made.env.items():
        monkeypatch.setenv(name, text)
    yield made
    made.die()


def run(capsys, *words):
    """Run a command; returns (status, what it said)."""
    status = commands.main(list(words))
    return status, capsys.readouterr().out


def test_doctor_says_all_is_well(bench, capsys):
    """With a server there and a hook armed the doctor ends with 0."""
    status, said = run(capsys, "doctor")
    assert status == 0, said
    assert [line[:4] for line in said.splitlines()] == ["ok  "] * 7 + ["off "]
    assert bench.settings.base_url in said


@pytest.mark.usefixtures("bench")
def test_doctor_tells_the_line_the_taps_and_the_way_out(capsys):
    """The .pth file with its hash, what is tapped of which wandb, and how to switch it all off."""
    _, said = run(capsys, "doctor")
    [path] = re.findall(r"\.pth line: (\S+), sha256 [0-9a-f]{64}, as installed", said)
    assert hashlib.sha256(Path(path).read_bytes()).hexdigest() in said
    for tapped in ("_publish_partial_history", "_publish_metric", "_deliver_exit", "set_global"):
        assert tapped in said
    assert f"wandb {wandb.__version__}" in said
    assert "PRIMUS_LENS_WANDB_HOOK=false" in said.splitlines()[-1]


def test_doctor_tells_what_waits(bench, receiver, capsys):
    """What dead processes left is counted, with the ways it gets delivered."""
    receiver.answer = refuse(503)
    log(bench.stream(), 0, 10)
    bench.die()
    receiver.answer = accept
    status, said = run(capsys, "doctor")
    assert status == 0
    assert re.search(r"1 streams; \d+ bytes in 1 of dead processes wait for the next start", said)


@pytest.mark.usefixtures("bench")
def test_doctor_names_what_is_wrong(receiver, capsys, monkeypatch):
    """Each thing that keeps reports from arriving is named, and the status is 1."""
    monkeypatch.setenv("PRIMUS_LENS_WANDB_HOOK", "off")
    monkeypatch.setenv("PRIMUS_LENS_WANDB_BATCH_SIZE", "many")
    monkeypatch.setenv("PRIMUS_LENS_WANDB_SPOOL_DIR", "/proc/self/nowhere")
    monkeypatch.delenv("POD_NAME")
    receiver.answer = refuse(401, {"error": "a token is needed"})
    status, said = run(capsys, "doctor")
    assert status == 1
    for words in (
        "BAD  hook: switched off",
        "PRIMUS_LENS_WANDB_BATCH_SIZE='many'",
        "stands in for POD_NAME",
        "BAD  spool:",
        "answered 401",
        "a token is needed",
    ):
        assert words in said, words


def test_doctor_asks_no_server_when_reporting_is_off(bench, receiver, capsys, monkeypatch):
    """Without reporting no server is needed."""
    monkeypatch.setenv("PRIMUS_LENS_WANDB_API_REPORTING", "false")
    assert run(capsys, "doctor")[0] == 0
    assert receiver.requests == []
    assert bench.made == 0


def test_status_lists_what_waits(bench, receiver, capsys):
    """Each stream with its size, and whether a process still owns it."""
    assert "nothing there" in run(capsys, "status")[1]
    receiver.answer = refuse(503)
    log(bench.stream(), 0, 10)
    bench.die()
    status, said = run(capsys, "status")
    assert status == 0
    assert "s1: " in said
    assert "in 1 segments, its process is gone" in said


def test_drain_delivers_and_says_so(bench, receiver, capsys):
    """What dead processes left is delivered, and the status is 0."""
    receiver.answer = refuse(503)
    log(bench.stream(), 0, 10)
    bench.die()
    receiver.answer = accept
    status, said = run(capsys, "drain")
    assert (status, said) == (0, "s1: run r1 delivered\nnothing is left behind\n")
    assert steps(receiver) == list(range(10))


def test_drain_gives_up_in_time_and_keeps_everything(bench, receiver, capsys):
    """With the server away drain ends with 1 and the stream stays for the next try."""
    receiver.answer = refuse(503)
    log(bench.stream(), 0, 10)
    bench.die()
    status, said = run(capsys, "drain", "--timeout", "0.2")
    assert (status, said) == (1, "s1: run r1 kept\n1 streams are left behind\n")
    receiver.answer = accept
    assert run(capsys, "drain")[0] == 0
    assert sorted(steps(receiver)) == list(range(10))


def test_drain_leaves_what_nobody_can_read(bench, tmp_path, capsys):
    """A stream without one readable head is left where it is and named."""
    log(bench.stream(), 0, 10)
    bench.die()
    (path,) = tmp_path.glob("primus-lens-*/s1/*.seg")
    path.write_bytes(b"x" * 100)
    status, said = run(capsys, "drain")
    assert status == 1
    assert "s1: no segment of it can be read" in said
    assert path.exists()


def test_the_version_is_told(capsys):
    """--version prints the version and ends."""
    with pytest.raises(SystemExit, match="0"):
        commands.main(["--version"])
    assert capsys.readouterr().out.strip() == __version__
