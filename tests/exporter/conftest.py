"""Real parts: a receiver on a local port, and jobs that run wandb in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from primus_lens_wandb_exporter import _guard

sys.path.insert(0, str(Path(__file__).parent))  # receiver and oracle, in importlib mode too


def pytest_collection_modifyitems(items):
    """Mark the tests that run wandb."""
    for item in items:
        if "job" in getattr(item, "fixturenames", ()):
            item.add_marker("wandb")


@pytest.fixture(autouse=True)
def _guards_hide_nothing(monkeypatch):
    """An error of ours fails the test that meets it."""
    monkeypatch.setattr(_guard, "reraise", True)


@pytest.fixture
def receiver():
    """A server that accepts everything until told otherwise."""
    from receiver import Receiver  # noqa: PLC0415 - found by the path above

    server = Receiver()
    yield server
    server.close()


class Job:
    """Runs training scripts in a folder of their own.

    home: the folder; spool: where the exporter keeps its streams. env: the environment of the next
    script, to be changed freely.
    """

    def __init__(self, home, url):
        self.home = home
        self.spool = home / "spool" / f"primus-lens-{os.getuid()}"
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "WANDB_MODE": "offline",
            "WANDB_SILENT": "true",
            "WANDB_DIR": str(home),
            "WANDB_ERROR_REPORTING": "false",
            "PRIMUS_LENS_API_BASE_URL": url,
            "PRIMUS_LENS_WANDB_SPOOL_DIR": str(home / "spool"),
            "PRIMUS_LENS_WANDB_DEBUG": "true",
            "POD_NAME": "pod-1",
        }

    def start(self, code, *flags, python=sys.executable):
        """Start a script; returns its process with pipes."""
        (self.home / "train.py").write_text(code)
        return subprocess.Popen(
            [python, *flags, "train.py"],
            cwd=self.home,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.PIPE,
            text=True,
        )

    def run(self, code, *flags, code_expected=0, quiet=True):
        """Run a script to its end; nothing of ours may be on stdout or stderr."""
        process = self.start(code, *flags)
        out, err = process.communicate(timeout=100)
        assert process.returncode == code_expected, err
        assert not quiet or "[primus-lens]" not in err, err
        return out

    def files(self):
        """Return the offline files of wandb, oldest first."""
        found = self.home.glob("wandb/offline-run-*/run-*.wandb")
        return sorted(found, key=lambda path: path.stat().st_mtime)

    def file(self, run_id):
        """Return the offline file of one run."""
        (found,) = self.home.glob(f"wandb/offline-run-*/run-{run_id}.wandb")
        return found

    def streams(self):
        """Return the folders of undelivered streams."""
        return [p for p in self.spool.glob("*") if p.is_dir() and p.name != "quarantine"]


@pytest.fixture
def job(tmp_path, receiver):
    """A place to run training scripts that report to the receiver."""
    return Job(tmp_path, receiver.url)
