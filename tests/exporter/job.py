"""A training job: a script that runs wandb in a process of its own."""

import os
import subprocess
import sys


class Job:
    """Runs training scripts in a folder of their own.

    home: the folder; spool: where the exporter keeps its streams. env: the environment of the next
    script, to be changed freely. python: the interpreter that runs it.
    """

    def __init__(self, home, url, python=sys.executable):
        self.home, self.python = home, python
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
            # Set when the tests run under coverage, which then measures the job too.
            **{name: text for name, text in os.environ.items() if name.startswith("COVERAGE_")},
        }

    def start(self, code, *flags, python=""):
        """Start a script; returns its process with pipes."""
        (self.home / "train.py").write_text(code)
        return subprocess.Popen(
            [python or self.python, *flags, "train.py"],
            cwd=self.home,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.PIPE,
            text=True,
        )

    def run(self, code, *flags, code_expected=0, quiet=True, timeout_s=100):
        """Run a script to its end; nothing of ours may be on stdout or stderr."""
        process = self.start(code, *flags)
        out, err = process.communicate(timeout=timeout_s)
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
