"""What the hook costs a Python that never imports wandb: at most 0.5 ms.

Two virtual environments in a temporary folder, one with the exporter's wheel; `python -c pass` is
started in turn A B A B. The figure is the median of the paired differences, and the ratio of the
medians; single starts on a shared machine vary by far more than the cost, pairs do not.

    python bench/startup.py [--starts 400]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

BUDGET_MS = 0.5
PACKAGE = Path(__file__).parents[1] / "packages" / "exporter"


def make(folder: Path) -> Path:
    """Make an empty environment; returns its Python."""
    venv.create(folder, symlinks=True)
    return folder / "bin" / "python"


def start_ms(python: Path, env: dict[str, str]) -> float:
    """Time one start."""
    begin = time.perf_counter()
    subprocess.run([python, "-c", "pass"], check=True, env=env)
    return (time.perf_counter() - begin) * 1e3


def main() -> int:
    """Measure and print; status 1 when the budget is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=400, help="starts of each kind")
    starts = parser.parse_args().starts
    env = {"PATH": os.environ["PATH"]}
    with tempfile.TemporaryDirectory(prefix="startup-") as name:
        folder = Path(name)
        bare, hooked = make(folder / "bare"), make(folder / "hooked")
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        build = ["wheel", "--no-deps", "--no-build-isolation", "-w", name, PACKAGE]
        subprocess.run([*pip, *build], check=True)
        (wheel,) = folder.glob("*.whl")
        install = ["--python", hooked, "install", "--no-deps", "--no-index", wheel]
        subprocess.run([*pip, *install], check=True)
        for python in (bare, hooked):
            start_ms(python, env)  # warm the page cache
        pairs = []
        for n in range(starts):
            if n % 2:
                pairs.append((start_ms(bare, env), start_ms(hooked, env)))
            else:
                with_hook = start_ms(hooked, env)
                pairs.append((start_ms(bare, env), with_hook))
    without = statistics.median(a for a, _ in pairs)
    with_hook = statistics.median(b for _, b in pairs)
    added = statistics.median(b - a for a, b in pairs)
    least = sorted(b for _, b in pairs)[starts // 10] - sorted(a for a, _ in pairs)[starts // 10]
    print(f"python -c pass, {starts} starts of each kind, alternating")
    print(f"  without the exporter  {without:7.2f} ms (median)")
    print(f"  with it               {with_hook:7.2f} ms (median), ratio {with_hook / without:.3f}")
    print(f"  added, paired median  {added:+7.2f} ms; at the 10th percentile {least:+.2f} ms")
    good = added <= BUDGET_MS
    print(f"  budget {BUDGET_MS} ms: {'kept' if good else 'MISSED'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
