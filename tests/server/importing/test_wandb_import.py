"""Runs recorded by a real wandb arrive as they were recorded, however often they are imported."""

import signal
import subprocess
import sys

import oracle
import pytest
from scenarios import SCENARIOS

from primus_lens.client import Client, LensApiError
from primus_lens.importing.delivery import Delivery
from primus_lens.importing.wandb_file import WandbFile

STORED = """
SELECT serial, iteration, performance::text, created_at::text, point_times::text
FROM training_performance WHERE workload_uid = $1 ORDER BY serial, iteration
"""


def deliver(server, workload, path, **options):
    """Import one file within this process. Returns the source and what became of its batches."""
    source = WandbFile(path)
    with Client(server.url) as client:
        return source, list(Delivery(client.connection, workload, **options).deliver(source))


def recorded_points(path):
    """What wandb recorded: (name, step) to value."""
    return {(n, step): v for step, row in oracle.rows(path).items() for n, v in row.items()}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_points_are_what_wandb_recorded(server, workload, recorded, scenario):
    """Each scenario's points equal its file: NaN, infinities and all digits of integers."""
    deliver(server, workload, recorded[scenario])
    assert server.points(workload) == recorded_points(recorded[scenario])
    assert server.points(workload)


def test_times_are_those_of_wandb(server, workload, recorded):
    """A point carries the time of its row."""
    deliver(server, workload, recorded["own timestamp and step keys"])
    rows = server.get(f"/workloads/{workload}/metrics/data").json()["data"]
    assert rows[0]["timestamp"] == 123_500


def test_directory_is_searched(server, workload, recorded, import_command):
    """A directory is imported with every run below it; each keeps its id."""
    home = recorded["threads"].parents[2]
    done = import_command("wandb", home, "--workload", workload)
    assert (done.returncode, done.stderr) == (0, "")
    runs = server.get(f"/workloads/{workload}").json()["runs"]
    assert {run["run_id"] for run in runs} == {f"r{n}" for n in range(len(recorded))}
    assert len(done.stdout.splitlines()) == len(recorded)


def test_second_import_changes_nothing(server, workload, recorded, import_command):
    """Imported twice, every row is as after the first time, and the command says so."""
    words = ("wandb", recorded["many rows"], "--workload", workload)
    assert import_command(*words).returncode == 0
    before = server.sql(STORED, workload)
    done = import_command(*words)
    assert done.returncode == 0
    assert done.stdout.startswith(f"r{len(SCENARIOS)}: 18,000 points from ")
    assert done.stdout.endswith("18,000 of them known already\n")
    assert server.sql(STORED, workload) == before
    assert len(before) == 6000


def test_killed_import_goes_on(server, gate, workload, recorded):
    """An import that is killed half-way is completed by the same command."""
    path = recorded["many rows"]
    words = [sys.executable, "-m", "primus_lens", "import", "wandb", str(path)]
    words += ["--workload", workload]
    gate.passing = 2
    with subprocess.Popen([*words, "--url", gate.url]) as killed:
        assert gate.stalled.wait(60)
        killed.send_signal(signal.SIGKILL)
    half = len(server.points(workload))
    assert 0 < half < 18_000
    done = subprocess.run([*words, "--url", server.url], capture_output=True, text=True, check=True)
    assert f", {half:,} of them known already" in done.stdout
    assert server.points(workload) == recorded_points(path)


def test_request_that_was_stored_but_not_answered_is_known(server, gate, workload, recorded):
    """A server that was too busy is asked again, and nothing is stored twice."""
    gate.busy, gate.passing = 3, 100
    deliver(gate, workload, recorded["many rows"])
    assert server.points(workload) == recorded_points(recorded["many rows"])


def test_server_that_stays_away_is_told(free_ports, recorded):
    """After its patience the import ends with what to do."""
    with Client(f"http://127.0.0.1:{free_ports()}") as client:
        delivery = Delivery(client.connection, "w", patience_s=0.3)
        with pytest.raises(LensApiError, match="run the same command again to go on"):
            list(delivery.deliver(WandbFile(recorded["threads"])))


def test_torn_file_costs_its_torn_record_and_grows_later(server, workload, recorded, tmp_path):
    """Of a file that breaks off every whole row arrives; of the whole file, later, the rest."""
    whole = recorded["many rows"].read_bytes()
    torn = tmp_path / "run-torn.wandb"
    torn.write_bytes(whole[: len(whole) // 2])
    _, first = deliver(server, workload, torn)
    expected = recorded_points(recorded["many rows"])
    arrived = server.points(workload)
    left = [
        each for each in WandbFile(recorded["many rows"]).records() if each.last <= len(whole) // 2
    ]
    steps = {point.step for each in left for point in each.points}
    assert arrived == {key: value for key, value in expected.items() if key[1] in steps}
    torn.write_bytes(whole)
    _, second = deliver(server, workload, torn)
    assert server.points(workload) == expected
    assert sum(each.known for each in second) == sum(each.points for each in first) == len(arrived)


def test_damage_costs_its_block(server, workload, recorded, import_command, tmp_path):
    """A flipped byte costs rows of its block of 32 KiB; they are counted, the others arrive."""
    damaged = bytearray(recorded["many rows"].read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    path = tmp_path / "run.wandb"
    path.write_bytes(damaged)
    done = import_command("wandb", path, "--workload", workload)
    assert done.returncode == 0
    assert "damaged part(s) could not be read" in done.stderr
    expected = recorded_points(recorded["many rows"])
    arrived = server.points(workload)
    assert arrived.items() <= expected.items()
    assert len(expected) - 1000 < len(arrived) < len(expected)


def test_damage_that_is_mended_arrives(server, workload, recorded, tmp_path):
    """What was damaged at the first import and is whole at the second is not taken for known."""
    whole = recorded["many rows"].read_bytes()
    path = tmp_path / "run.wandb"
    path.write_bytes(whole[:100_000] + b"\xff" * 50_000 + whole[150_000:])
    deliver(server, workload, path)
    assert len(server.points(workload)) < 18_000
    path.write_bytes(whole)
    deliver(server, workload, path)
    assert server.points(workload) == recorded_points(recorded["many rows"])


def test_live_run_is_completed(server, workload, recorded):
    """A run that was reported live is the same run; what is missing is added, its end told."""
    path = recorded["no step given"]
    run_id = WandbFile(path).run_id
    live = {"name": "loss", "value": 1.0, "step": 0, "timestamp": 1_700_000_000.0}
    facts = {"state": "running", "attempt": 1_700_000_000.0}
    server.post(
        "/wandb/metrics",
        {"workload_uid": workload, "run_id": run_id, "metrics": [live], "run": facts},
    )
    deliver(server, workload, path)
    [run] = server.get(f"/workloads/{workload}").json()["runs"]
    assert (run["run_id"], run["state"], run["exit_code"]) == (run_id, "finished", 0)
    assert server.points(workload) == recorded_points(path)


def test_no_wandb_file_is_told(import_command, tmp_path, workload):
    """A file that is something else is named; the exit status says that not all was imported."""
    path = tmp_path / "other.wandb"
    path.write_bytes(b"something else")
    done = import_command("wandb", path, "--workload", workload)
    assert done.returncode == 1
    assert done.stderr == f"primus-lens: {path} is not a .wandb file: it does not begin as one\n"


def test_path_that_is_missing_is_told(import_command, tmp_path, workload):
    """A path that is not there ends the command."""
    done = import_command("wandb", tmp_path / "absent", "--workload", workload)
    assert done.returncode == 1
    assert done.stderr == f"primus-lens: {tmp_path / 'absent'} does not exist\n"


def test_directory_without_runs_is_told(import_command, tmp_path, workload):
    """A directory that holds nothing of the kind ends the command."""
    done = import_command("wandb", tmp_path, "--workload", workload)
    assert done.returncode == 1
    assert done.stderr == f"primus-lens: there is no *.wandb in {tmp_path}\n"
