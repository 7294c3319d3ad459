"""A loss that jumps up: a spike that passes, or one that stays. Pure; a detector is its own state.

The Hampel identifier over a window before the jump, which is frozen while the jump lasts, and a
filter that waits whether it goes away, as monitors of errors and crashes have it (Meta's
FBDetect, SOSP 2024): most spikes of a loss do.
"""

from typing import Literal

import msgspec

from primus_lens.model.alerts import Finding
from primus_lens.settings import LossSpike
from primus_lens.watch.baseline import Baseline, median
from primus_lens.watch.points import Point
from primus_lens.watch.words import count, number

_MOST_PASSING = 50  # spikes of one series that are written down; noisy ones have thousands
_RECENT = 10  # points of which the text tells the height


class SpikeWatch(msgspec.Struct):
    """The spikes of one series.

    first: the point that jumped, None while there is no jump. above: points since then that were
    up; back: points in a row that were not. recent: the last that were up.
    """

    metric: str
    baseline: Baseline = msgspec.field(default_factory=Baseline)
    first: Point | None = None
    above: int = 0
    back: int = 0
    opened: bool = False
    peak: float = 0.0
    recent: list[float] = []
    passed: int = 0

    def feed(self, point: Point, limits: LossSpike) -> Finding | None:
        """Judge a finite point."""
        ready = len(self.baseline.values) >= limits.least_points
        height = self.baseline.height(point.value) if ready else 0.0
        if self.first is None:
            if height <= limits.k:
                self.baseline.add(point.value, window=limits.window, floor=limits.floor)
                return None
            self.first, self.above, self.back, self.opened = point, 0, 0, False
            self.peak, self.recent = point.value, []
        if height > limits.k / 2:  # half as high ends it, so that it does not flutter
            self.above += 1
            self.back = 0
            self.peak = max(self.peak, point.value)
            self.recent = [*self.recent[1 - _RECENT :], point.value]
        else:
            self.back += 1
        self.opened = self.opened or self.above >= limits.lasting
        return self._ended(point) if self.back >= limits.clear else self._lasting(point)

    def _lasting(self, point: Point) -> Finding | None:
        return self._finding(point, "open") if self.opened else None

    def _ended(self, point: Point) -> Finding | None:
        found = self._finding(point, "closed")
        self.first = None
        if self.opened:
            return found
        self.passed += 1
        return found if self.passed <= _MOST_PASSING else None

    def _finding(self, point: Point, state: Literal["open", "closed"]) -> Finding:
        first = self.first or point
        level, height = number(self.baseline.shown_level), number(median(self.recent))
        rose = f"{self.metric} rose from {level} to {height} at step {first.step:,}"
        if state == "open":
            text = f"{rose} and has stayed there for {count(point.step - first.step, 'step')}"
        elif self.opened:
            text = f"{rose} and came back at step {point.step:,}"
        else:
            peak, points = number(self.peak), count(self.above, "point")
            text = f"{self.metric} jumped from {level} to {peak} at step {first.step:,} "
            text += f"and came back after {points}"
        return Finding(
            kind="loss_spike",
            metric=self.metric,
            since_step=first.step,
            since=first.at,
            last_step=point.step,
            last_seen=point.at,
            state=state,
            text=text,
            passing=not self.opened,
        )
