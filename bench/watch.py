"""The watch: false alarms, delay of detection, cost. `make bench` runs it.

    python bench/watch.py [curves]

False alarms: in 1,000 seeded curves without trouble, constant or slowly falling, of six kinds of
noise; also at other thresholds, so that the choice can be seen. Delay: rows from a trouble that was
planted in each of 200 such curves to its alert. Cost: of judging a row of ten metrics, two of them
losses.
"""

import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "server" / "watch"))

import planted
from planted import PLANTED_AT, ROWS, Judged, calm_loss, rows_of, times

from primus_lens.settings import Thresholds

PLANTED_IN = 200


def false_alarms(curves, limits):
    """How many curves raised an alert of a kind, and how many a spike that passed."""
    raised, passing = Counter(), 0
    for seed in range(curves):
        judged = Judged(rows_of({"train/loss": calm_loss(seed)}, times(seed)), limits)
        raised.update({found.kind for found in judged.alerts})
        passing += any(found.passing for found in judged.newest.values())
    return raised, passing


def delays(plant, kind, metric="train/loss"):
    """The rows until an alert, of each curve with a trouble; and how many were never found."""
    found, missed = [], 0
    for seed in range(PLANTED_IN):
        loss, at = plant(calm_loss(seed), times(seed, least_s=1))
        opened = Judged(rows_of({"train/loss": loss}, at)).opened_at(kind, metric)
        if opened is None or opened < PLANTED_AT:
            missed += 1
        else:
            found.append(opened - PLANTED_AT)
    return found, missed


def nan(loss, at):
    """From here on the loss is NaN."""
    loss[PLANTED_AT:] = np.nan
    return loss, at


def spike(loss, at):
    """The loss is four times as high and stays there."""
    loss[PLANTED_AT:] *= 4
    return loss, at


def climb(loss, at):
    """The loss climbs by its own height in 100 rows."""
    loss[PLANTED_AT:] *= 1 + np.arange(ROWS - PLANTED_AT) / 100
    return loss, at


def slow(loss, at):
    """A step takes twice as long, for long enough to matter."""
    took = np.diff(at, prepend=at[0])
    took[PLANTED_AT:] *= 2
    return loss, at[0] + np.cumsum(took)


def row_cost():
    """Seconds of judging a row of ten metrics, two of them losses."""
    loss, other = calm_loss(2, rows=4_000), calm_loss(3, rows=4_000)
    columns = {f"m{i}": other for i in range(8)} | {"train/loss": loss, "eval/loss": other}
    rows = list(rows_of(columns, times(2, rows=4_000)))
    began = time.process_time()
    Judged(rows)
    return (time.process_time() - began) / len(rows)


def main():
    """Measure and print."""
    curves = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    for k in (4.0, 6.0, 8.0):
        limits = Thresholds()
        spiked = msgspec.structs.replace(limits.loss_spike, k=k)
        raised, passing = false_alarms(curves, msgspec.structs.replace(limits, loss_spike=spiked))
        told = ", ".join(f"{kind} {n}" for kind, n in sorted(raised.items())) or "none"
        print(
            f"loss_spike.k={k:g}: false alarms in {curves} curves of {ROWS} rows: {told}; "
            f"curves with a passing spike: {passing}"
        )
    for plant, kind, metric in (
        (nan, "nonfinite", "train/loss"),
        (spike, "loss_spike", "train/loss"),
        (climb, "divergence", "train/loss"),
        (slow, "throughput_drop", ""),
    ):
        found, missed = delays(plant, kind, metric)
        print(
            f"{kind}: planted in {PLANTED_IN}, missed {missed}, rows until the alert: "
            f"median {np.median(found):.0f}, longest {max(found)}"
        )
    print(f"judging a row of ten metrics: {row_cost() * 1e6:.1f} us")
    print(f"state of such a run: {len(state_of_a_run()) / 1000:.1f} kB")


def state_of_a_run():
    """What is written down of a run of ten metrics, two of them losses."""
    columns = {f"m{i}": calm_loss(3) for i in range(8)}
    columns |= {"train/loss": calm_loss(2), "eval/loss": planted.calm_loss(5)}
    return Judged(rows_of(columns, times(2))).judge.state.encoded()


if __name__ == "__main__":
    main()
