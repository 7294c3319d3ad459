"""Whatever fails inside the exporter, the job prints, raises and exits as it would without it."""

import ast
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import primus_lens_wandb_exporter

PACKAGE = Path(primus_lens_wandb_exporter.__file__).parent

# The guard itself is what is relied upon.
RELIED_UPON = ("_guard", "_errors", "__main__", "__init__", "wandb_hook")
# What runs at start and at exit, where a process of its own is needed to see the effect.
START_AND_EXIT = ("_activate", "_import_watch", "_intercept", "_process", "_disabled", "_settings")

BREAK = """
import importlib, sys
def broken(*args, **kwargs):
    raise RuntimeError("sabotage")
def sabotage(module, path):
    holder = importlib.import_module("primus_lens_wandb_exporter." + module)
    *outer, last = path.split(".")
    for part in outer:
        holder = getattr(holder, part)
    original = vars(holder)[last]
    kind = type(original)
    setattr(holder, last, kind(broken) if kind in (classmethod, staticmethod, property) else broken)
    return lambda: setattr(holder, last, original)
"""

JOB = """
import sys
import wandb
run = wandb.init(project="p", id="r1", config={"lr": 0.5})
wandb.define_metric("v", step_metric="e")
for i in range(3):
    wandb.log({"i": i, "v": i, "n": {"x": i}})
try:
    wandb.log(7)
except TypeError as error:
    print("TypeError", error)
print("steps", run._local_step)
if len(sys.argv) > 3:
    wandb.finish()
print("done")
sys.exit(3)
"""

ALL_IN_ONE = """
import json, time, traceback
import wandb
found = []
for module, path in json.load(sys.stdin):
    mend = sabotage(module, path)
    try:
        with wandb.init(project="p", config={"lr": 0.5}) as run:
            run.define_metric("v", step_metric="e")
            wandb.config.update({"epochs": 2})
            for i in range(3):
                wandb.log({"i": i, "v": i, "n": {"x": i}})
            run.log({"late": 1}, step=10, commit=False)
    except Exception:
        found.append([module, path, traceback.format_exc()])
    mend()
print(json.dumps(found))
"""


def functions():
    """Name every function and method of the package: (module, dotted path)."""
    found = []
    for file in sorted(PACKAGE.glob("*.py")):
        if file.stem in RELIED_UPON:
            continue
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                found.append((file.stem, node.name))
            elif isinstance(node, ast.ClassDef):
                parts = [part.name for part in node.body if isinstance(part, ast.FunctionDef)]
                found += [(file.stem, f"{node.name}.{part}") for part in parts]
    return found


def run(home, code, *words, **variables):
    """Run a script offline; returns its exit status, stdout and stderr."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
        "PRIMUS_LENS_WANDB_SPOOL_DIR": str(home),
        **{name: text for name, text in variables.items() if name != "stdin"},
    }
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=home,
        env=env,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        input=variables.get("stdin", ""),
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.wandb
@pytest.mark.timeout(300)
def test_no_call_of_the_job_fails_with_a_function_of_ours_broken(receiver, tmp_path):
    """Runs start, log and finish undisturbed with any one function of the package raising."""
    code = BREAK + ALL_IN_ONE
    cases = json.dumps(functions())
    status, out, err = run(
        tmp_path, code, stdin=cases, PRIMUS_LENS_API_BASE_URL=receiver.url, POD_NAME="p"
    )
    assert (status, err) == (0, "")
    assert json.loads(out) == []


@pytest.mark.wandb
@pytest.mark.timeout(300)
def test_start_and_exit_are_the_same_with_a_function_of_ours_broken(receiver, tmp_path):
    """Output and exit status are those of the job alone, whatever of ours fails around it."""
    expected = run(tmp_path, JOB, PRIMUS_LENS_WANDB_HOOK="false")
    assert (expected[0], expected[2]) == (3, "")

    def lived(case):
        home = tmp_path / "-".join(case)
        home.mkdir()
        code = f"{BREAK}sabotage(*sys.argv[1:3])\n{JOB}"
        return case, run(home, code, *case, PRIMUS_LENS_API_BASE_URL=receiver.url, POD_NAME="p")

    cases = [case for case in functions() if case[0] in START_AND_EXIT]
    with ThreadPoolExecutor(2) as pool:
        different = {case: got for case, got in pool.map(lived, cases) if got != expected}
    assert different == {}


UNREPORTED = (
    "a token file that is not there",
    "nothing wanted",
    "a URL that is none",
    "another URL that is none",
    "a port that is none",
)
ODD_WORLDS = {
    "ranks that are no numbers": {"RANK": "zero", "WORLD_SIZE": "", "LOCAL_RANK": "-", "NODE": "x"},
    "no home": {"HOME": ""},
    "a home that is nowhere": {"HOME": "/proc/nowhere"},
    "settings that cannot be read": {
        "PRIMUS_LENS_WANDB_FLUSH_INTERVAL": "soon",
        "PRIMUS_LENS_WANDB_BATCH_SIZE": "-1",
        "PRIMUS_LENS_WANDB_SPOOL_BYTES": "much",
        "PRIMUS_LENS_USE_PROXY": "perhaps",
    },
    "a spool that cannot be made": {"PRIMUS_LENS_WANDB_SPOOL_DIR": "/proc/self/nowhere"},
    "an output path that cannot be made": {"PRIMUS_LENS_WANDB_OUTPUT_PATH": "/proc/self/nowhere"},
    "a token file that is not there": {"PRIMUS_LENS_API_TOKEN_FILE": "/nowhere/token"},
    "system metrics": {"PRIMUS_LENS_WANDB_ENHANCE_METRICS": "true"},
    "unmarked rows": {"PRIMUS_LENS_WANDB_MARK_ROWS": "false"},
    "nothing wanted": {"PRIMUS_LENS_WANDB_API_REPORTING": "false"},
    "a URL that is none": {"PRIMUS_LENS_API_BASE_URL": "telemetry:8080"},
    "another URL that is none": {"PRIMUS_LENS_API_BASE_URL": "http://[::1"},
    "a port that is none": {"PRIMUS_LENS_API_BASE_URL": "http://host:port/api/v1"},
}


@pytest.mark.wandb
@pytest.mark.parametrize("world", ODD_WORLDS)
def test_odd_surroundings_change_nothing_for_the_job(receiver, tmp_path, world):
    """Bad variables, folders and addresses never show in the job."""
    variables = {"PRIMUS_LENS_API_BASE_URL": receiver.url, **ODD_WORLDS[world]}
    expected = run(tmp_path, JOB, **{**variables, "PRIMUS_LENS_WANDB_HOOK": "false"})
    got = run(tmp_path, JOB, **variables)
    assert got[:2] == expected[:2]
    assert "home" in world or got[2] == expected[2] == ""  # wandb itself laments its missing home
    assert set(receiver.curves()) == (set() if world in UNREPORTED else {0, 1, 2})


FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
from primus_lens_wandb_exporter import _frames, _process
import json, time
process = _process.start()
recorder = process.open("r1", owned=True)
for step in range(5000):
    payload = json.dumps({"at": 1.0, "values": {"a": step}}).encode()
    recorder.row(_frames.PLAIN_ROW, None, True, payload)
recorder.end(0)
"""


def test_a_disk_that_takes_no_more_loses_nothing_of_a_living_job(receiver, tmp_path):
    """When a write fails the rows go on in memory and still arrive, each once."""
    status, out, err = run(tmp_path, FULL, PRIMUS_LENS_API_BASE_URL=receiver.url, POD_NAME="p")
    assert (status, out, err) == (0, "", "")
    assert sorted(point["step"] for point in receiver.points()) == list(range(5000))
    assert receiver.gaps() == []


CLOCKS = """
import time, wandb
run = wandb.init(project="p", id="r1", mode={mode!r})
for now in (0.0, -1e12, 1e18, 1.7e9):
    time.time = lambda: now
    wandb.log({{"now": 1}})
wandb.log({{"now": 1, "_timestamp": 1e300}})
time.time = lambda: -1e12
run.finish()
print("done")
"""


@pytest.mark.wandb
@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_an_absurd_clock_neither_harms_nor_is_reported(receiver, tmp_path, mode):
    """Times outside the calendar are left out of reports; the rows beside them arrive."""
    code = CLOCKS.format(mode=mode)
    expected = run(tmp_path, code, PRIMUS_LENS_WANDB_HOOK="false")
    assert expected == (0, "done\n", "")
    assert run(tmp_path, code, PRIMUS_LENS_API_BASE_URL=receiver.url, POD_NAME="p") == expected
    assert [point["step"] for point in receiver.points()] == list(range(5))
    assert len(receiver.detections()) > 0
    times = [value for request in receiver.requests for value in times_in(request.body)]
    assert 1.7e9 in times
    assert all(-62_135_596_800 <= value <= 253_402_300_799 for value in times)


def times_in(body):
    """Every time a report names."""
    facts = body.get("run", {})
    named = [facts.get(name) for name in ("started_at", "ended_at", "attempt")]
    named += [entry.get("timestamp") for entry in (body, *body.get("metrics", []))]
    return [value for value in named if value is not None]


READ_ONLY = """
mount --bind / / && mount -o remount,ro,bind / && mount --bind "$PWD" "$PWD" || exit 99
mount -o remount,rw,bind "$PWD" && cd "$PWD" && touch here || exit 99
! touch /elsewhere 2>/dev/null || exit 99
exec "$0" -c "$1"
"""


@pytest.mark.wandb
@pytest.mark.parametrize("where", ["/proc/nowhere", ""])
def test_rows_of_a_container_with_a_read_only_root_arrive(receiver, tmp_path, where):
    """With one writable folder, as wandb needs, and the spool in it or nowhere, all rows arrive."""
    if os.geteuid():
        pytest.skip("only root may make a read-only root")
    env = {
        "PATH": os.environ["PATH"],
        "TMPDIR": str(tmp_path),
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
        "PRIMUS_LENS_API_BASE_URL": receiver.url,
        "PRIMUS_LENS_WANDB_SPOOL_DIR": where,
        "PRIMUS_LENS_WANDB_OUTPUT_PATH": "/elsewhere",
    }
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", READ_ONLY, sys.executable, JOB],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 99:
        pytest.skip("this machine lets nobody mount")
    assert (done.returncode, done.stdout) == (3, "TypeError" + done.stdout[9:]), done.stderr
    assert "primus" not in done.stderr
    assert set(receiver.curves()) == {0, 1, 2}
    assert receiver.run_facts()["state"] == "failed"
