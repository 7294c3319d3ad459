"""The same scenarios on many versions of wandb: every point must be what wandb itself wrote.

    python tests/exporter/matrix.py                       all versions
    python tests/exporter/matrix.py 0.16 0.19 latest      a choice

Each version gets a virtual environment, kept in .venv/matrix, with the wheel of this checkout. In
it one process runs every scenario of scenarios.py, another the disabled mode, a third two runs at
once; a real receiver takes the points and the oracle reads wandb's files.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import oracle
from job import Job
from receiver import Receiver
from scenarios import SCENARIOS

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / ".venv" / "matrix"
TIMEOUT_S = 300  # wandb 0.15 takes about 2 s a run on a busy machine

# The last release of each line; what an old one needs beside it; the newest Python it runs on.
OLD = ("numpy==1.26.4", "setuptools==80.9.0", "protobuf==4.25.9")  # np.float_, pkg_resources
NEW = ("numpy>=1.26",)
VERSIONS = {
    "0.15.12": (OLD, 11),
    "0.16.6": (OLD, 12),
    "0.17.9": ((*NEW, "setuptools==80.9.0"), 12),
    "0.18.7": ((*NEW, "setuptools==80.9.0"), 13),
    "0.19.11": ((*NEW, "setuptools==80.9.0"), 13),
    "0.21.4": (NEW, 13),
    "0.23.1": (NEW, 13),
    "0.25.1": (NEW, 13),
    "0.31.0": (NEW, 13),
}
LATEST = "0.31.0"
TWO_AT_ONCE_SINCE = (0, 19, 10)  # reinit="create_new"; before, a process had one run at a time

ONE_AFTER_ANOTHER = """
import json, math, os, sys, threading
import wandb
for run_id, code in json.load(open("scenarios.json")).items():
    run = wandb.init(project="p", id=run_id)
    exec(code)
    run.finish()
"""

TWO_AT_ONCE = """
import wandb
one, two = (wandb.init(project="p", id=name, reinit="create_new") for name in ("one", "two"))
for i in range(50):
    one.log({"a": i})
    two.log({"a": -i}, step=i * 2)
one.finish()
two.log({"late": 1})
two.finish()
"""


class Outcome(NamedTuple):
    """What a version did: points that arrived, and a sentence for each disagreement."""

    points: int
    differences: list[str]


def chosen(words: list[str]) -> list[str]:
    """Return the versions that words name: "0.16", "0.16.6", "latest"; all when there are none."""
    for word in words:
        if word != "latest" and not _named(word):
            sys.exit(f"wandb {word} is not in the matrix; there are {', '.join(VERSIONS)}, latest")
    found = [LATEST if word == "latest" else _named(word)[0] for word in words]
    return found or list(VERSIONS)


def _named(word: str) -> list[str]:
    return [version for version in VERSIONS if f"{version}.".startswith(f"{word}.")]


def build_wheel(folder: Path) -> Path:
    """Build the exporter's wheel from this checkout."""
    package = ROOT / "packages" / "exporter"
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder))
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(package)], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def environment(version: str, wheel: Path) -> Path:
    """Return the Python of an environment with this wandb and this wheel.

    Made on first use; raises CalledProcessError when the packages cannot be had.
    """
    folder = ENVIRONMENTS / version
    python = folder / "bin" / "python"
    needed, newest = VERSIONS[version]
    wanted = " ".join((f"wandb=={version}", *needed))
    done = folder / "made-with.txt"
    if not done.exists() or done.read_text() != wanted:
        _uv("venv", "--clear", "--python", _interpreter(newest), folder)
        _uv("pip", "install", "--python", python, *wanted.split())
        done.write_text(wanted)
    _uv("pip", "install", "--python", python, "--no-deps", "--reinstall", wheel)
    return python


def _uv(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "uv", "--quiet", *map(str, words)], check=True)


def _interpreter(newest: int) -> str:
    """Return the newest Python on PATH that is not beyond 3.<newest>; our own when none is."""
    for minor in range(newest, sys.version_info.minor, -1):
        found = shutil.which(f"python3.{minor}")
        if (
            found
            and subprocess.run([found, "-V"], check=False, capture_output=True).returncode == 0
        ):
            return found
    return sys.executable


def run(version: str, python: Path, home: Path) -> Outcome:
    """Run everything on one version in an empty folder."""
    outcomes = [
        _one_after_another(python, _folder(home, "scenarios")),
        _disabled(python, _folder(home, "disabled"), home / "scenarios"),
    ]
    if tuple(map(int, version.split("."))) >= TWO_AT_ONCE_SINCE:
        outcomes.append(_two_at_once(python, _folder(home, "two")))
    differences = [text for outcome in outcomes for text in outcome.differences]
    return Outcome(sum(outcome.points for outcome in outcomes), differences)


def _folder(home: Path, name: str) -> Path:
    (home / name).mkdir()
    return home / name


def _one_after_another(python: Path, home: Path) -> Outcome:
    """Run each scenario as a run of its own, all in one process."""
    codes = {_run_id(name): code for name, code in SCENARIOS.items()}
    (home / "scenarios.json").write_text(json.dumps(codes))
    return _compare(Job(home, "", python), ONE_AFTER_ANOTHER, list(codes))


def _two_at_once(python: Path, home: Path) -> Outcome:
    return _compare(Job(home, "", python), TWO_AT_ONCE, ["one", "two"])


def _disabled(python: Path, home: Path, recorded: Path) -> Outcome:
    """Run one scenario with WANDB_MODE=disabled; wandb records it only when it is not."""
    name = "a little of everything"
    job = Job(home, "", python)
    job.env["WANDB_MODE"] = "disabled"
    (home / "scenarios.json").write_text(json.dumps({_run_id(name): SCENARIOS[name]}))
    got = _received(job, ONE_AFTER_ANOTHER)
    curves = got.curves()
    expected = oracle.rows(Job(recorded, "").file(_run_id(name)))
    return Outcome(len(got.points()), _differences("disabled mode", curves, expected))


def _compare(job: Job, code: str, run_ids: list[str]) -> Outcome:
    got = _received(job, code)
    differences = []
    for run_id in run_ids:
        differences += _differences(run_id, got.curves(run_id), oracle.rows(job.file(run_id)))
    return Outcome(len(got.points()), differences)


def _received(job: Job, code: str) -> Receiver:
    receiver = Receiver()
    job.env["PRIMUS_LENS_API_BASE_URL"] = receiver.url
    try:
        job.run(code, timeout_s=TIMEOUT_S)
    finally:
        receiver.close()
    return receiver


def _differences(name: str, got: dict, expected: dict) -> list[str]:
    """Say at which steps two sets of rows disagree; a run without any row disagrees too."""
    if not expected:
        return [f"{name}: wandb's file has no row"]
    return [
        f"{name}: step {step}: wandb wrote {expected.get(step)}, we sent {got.get(step)}"
        for step in sorted({*got, *expected})
        if got.get(step) != expected.get(step)
    ]


def _run_id(name: str) -> str:
    return re.sub(r"\W+", "-", name)


def main(words: list[str]) -> int:
    """Run the chosen versions; returns how many disagree."""
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        wheel = build_wheel(Path(folder))
        for version in chosen(words):
            started = time.monotonic()
            outcome = run(version, environment(version, wheel), _folder(Path(folder), version))
            verdict = "differs" if outcome.differences else "same as wandb's file"
            took = time.monotonic() - started
            print(f"wandb {version:8} {outcome.points:6} points  {verdict}  {took:.0f} s")
            print(*(f"  {text[:300]}\n" for text in outcome.differences[:20]), sep="", end="")
            failed += bool(outcome.differences)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
