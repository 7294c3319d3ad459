"""How many points are lost when something dies: logged, received, told as lost, missing.

Each row is one job that logs 3,000 rows of 2 points and ends as named, with the server as named;
afterwards the server is well again and `drain` delivers what was left. "logged" is what the job had
been told was logged when it died. The last column must be 0 throughout.

    python bench/exporter/points_lost.py
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "exporter"))

from receiver import Receiver, accept, refuse

JOB = r"""
import os, signal, sys, time
import wandb
run = wandb.init(project="bench", mode="offline", id="r1")
pace = float(sys.argv[1])
told = os.open("told", os.O_WRONLY | os.O_CREAT)
for i in range(3000):
    run.log({"a": i, "b": -i})
    os.pwrite(told, b"%d" % (i + 1), 0)
    time.sleep(pace)
    if i == 2900: exec(sys.argv[2])
run.finish()
"""

ENDS = {
    "finishes": "",
    "SIGKILL": "os.kill(os.getpid(), signal.SIGKILL)",
    "SIGTERM": "os.kill(os.getpid(), signal.SIGTERM)",
    "os._exit": "os._exit(1)",
    "abort": "os.abort()",
    "exception": "raise SystemError",
}
SERVERS = {
    "up": accept,
    "down": refuse(503),
    "hangs": lambda _request: "stall",
    "cuts": lambda _request: "cut",
}


def lose(end: str, server: str) -> tuple[int, int, int]:
    """Run one job; returns points (logged, received, told as lost)."""
    receiver = Receiver(SERVERS[server])
    with tempfile.TemporaryDirectory(prefix="points-lost-") as folder:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "WANDB_SILENT": "true",
            "WANDB_ERROR_REPORTING": "false",
            "POD_NAME": "bench",
            "PRIMUS_LENS_API_BASE_URL": receiver.url,
            "PRIMUS_LENS_WANDB_SPOOL_DIR": folder,
        }
        command = [sys.executable, "-c", JOB, "0.0005", ENDS[end]]
        subprocess.run(command, env=env, cwd=folder, check=False, capture_output=True)
        logged = int((Path(folder) / "told").read_text())
        receiver.answer = accept
        receiver.release.set()
        drain = [sys.executable, "-m", "primus_lens_wandb_exporter", "drain"]
        subprocess.run(drain, env=env, check=False, capture_output=True)
    received = {(point["name"], point["step"]) for point in receiver.points()}
    told = sum(gap.get("points", 0) for gap in receiver.gaps())
    receiver.close()
    return 2 * logged, len(received), told


def main() -> int:
    """Measure and print; status 1 when a point is missing."""
    print("the job      the server   logged  received  told as lost  missing")
    worst = 0
    for server in SERVERS:
        for end in ENDS:
            logged, received, told = lose(end, server)
            missing = max(logged - received - told, 0)
            worst = max(worst, missing)
            print(f"{end:12} {server:10} {logged:8} {received:9} {told:13} {missing:8}", flush=True)
    return 1 if worst else 0


if __name__ == "__main__":
    sys.exit(main())
