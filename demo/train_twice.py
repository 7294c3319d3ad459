"""Runs the demo training against a running server: once until it crashes, once to its end."""

import os
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

TRAINING = Path(__file__).with_name("training.py")
CRASH_AT = 260


def environment(api, workload, place):
    """What a platform team sets on a training container; the script itself is untouched."""
    return {
        **os.environ,
        "PRIMUS_LENS_API_BASE_URL": api,
        "WORKLOAD_UID": workload,
        "POD_NAME": f"{workload}-0",
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
        "WANDB_DIR": str(place),
        "PRIMUS_LENS_WANDB_OUTPUT_PATH": str(place / "lens"),
    }


def train(api):
    """Both attempts. Returns the workload's uid."""
    workload = f"demo-{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory(prefix="lens-demo-") as directory:
        place = Path(directory)
        command = [sys.executable, str(TRAINING), "--run-id", workload]
        command += ["--checkpoint", str(place / "checkpoint.npz")]
        settings = environment(api, workload, place)
        print(f"training {workload}; it will crash at step {CRASH_AT} ...", flush=True)
        crashed = subprocess.run(
            [*command, "--crash-at", str(CRASH_AT)],
            check=False,
            env=settings,
            stderr=subprocess.DEVNULL,
        )
        if crashed.returncode != 1:
            sys.exit(f"the first attempt should crash with 1 and ended with {crashed.returncode}")
        print("... crashed; restarting from its checkpoint ...", flush=True)
        subprocess.run(command, env=settings, check=True)
    print("... finished", flush=True)
    return workload


if __name__ == "__main__":
    here = f"http://127.0.0.1:{os.environ.get('PORT', '8080')}/api/v1"
    base = os.environ.get("PRIMUS_LENS_API_BASE_URL", here)
    print(f"{base.removesuffix('/api/v1')}/workloads/{train(base)}")
