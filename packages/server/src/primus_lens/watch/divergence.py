"""A loss that climbs away from its best, or is no number any more. Pure; its own state.

Medians of 25 points each; those since the lowest must rise by Kendall's tau (Mann 1945), which
asks only for order and so neither for a shape nor for equal steps, and stand clearly above it.
"""

import itertools
import math
from typing import Literal

import msgspec

from primus_lens.model.alerts import Finding
from primus_lens.settings import Divergence
from primus_lens.watch.baseline import OF_NORMAL, median, noise
from primus_lens.watch.points import Point
from primus_lens.watch.words import count, number

BLOCK = 25  # points of a median: its error is a quarter of the noise
_TREND = 8  # medians of a trend: tau of 0.7 and more has a chance of 1 in 140 without one
_DIFFERENCES = 24  # of medians: more than the rising ones of a divergence that is found in time
_CLEAR = 10  # numbers in a row that end a divergence which was NaN


class DivergenceWatch(msgspec.Struct):
    """The divergence of one series. medians: the last, since the best; after: how many in all.

    best: the lowest median. differences: between the last medians, one and the next. lost: NaN or
    infinite points, with fewer than ten numbers between.
    """

    metric: str
    block: list[float] = []
    medians: list[float] = []
    after: int = 0
    best: float = math.inf
    best_noise: float = 0.0
    best_at: Point | None = None
    newest: float | None = None
    differences: list[float] = []
    lost: int = 0
    lost_from: Point | None = None
    numbers: int = 0
    opened: bool = False

    def feed(self, point: Point, limits: Divergence) -> Finding | None:
        """Judge a point, finite or not."""
        if not point.is_finite:
            return self._lost(point, limits)
        if self.lost_from is not None:
            return self._found_again(point, limits)
        self.block.append(point.value)
        if len(self.block) < BLOCK:
            return None
        height = median(self.block)
        spread = noise(self.block, height)
        self.block = []
        return self._climbed(point, height, spread, limits)

    def _lost(self, point: Point, limits: Divergence) -> Finding | None:
        self.numbers = 0
        self.lost += 1
        if self.lost_from is None:
            self.lost_from = point
        if self.lost < limits.nonfinite:
            return None
        since = self.lost_from
        text = f"{self.metric} has been {number(since.value)} since step {since.step:,}"
        return self._finding(since, point, "open", f"{text}, for {count(self.lost, 'point')}")

    def _found_again(self, point: Point, limits: Divergence) -> Finding | None:
        self.numbers += 1
        if self.numbers < _CLEAR:
            return None
        since, lost = self.lost_from or point, self.lost
        self.lost, self.lost_from, self.numbers = 0, None, 0
        if lost < limits.nonfinite:
            return None
        text = f"{self.metric} was {number(since.value)} from step {since.step:,} on for "
        return self._finding(
            since, point, "closed", f"{text}{count(lost, 'point')} and is a number again"
        )

    def _climbed(
        self, point: Point, height: float, spread: float, limits: Divergence
    ) -> Finding | None:
        best_at = self.best_at
        if self.newest is not None:
            self.differences = [*self.differences[1 - _DIFFERENCES :], abs(height - self.newest)]
        self.newest = height
        # Noise that outlives a block shows between blocks. Differences know no trend (von Neumann
        # 1941), so a climb does not hide itself.
        between = OF_NORMAL * median(self.differences) / math.sqrt(2) if self.differences else 0.0
        above = max(limits.k * max(self.best_noise, between), limits.rise * abs(self.best))
        if self.opened and best_at is not None:
            if height > self.best + above / 2:
                return self._finding(best_at, point, "open", self._rise(best_at, point, height))
            self.opened = False
            text = f"{self.metric} rose from its best {number(self.best)} at step {best_at.step:,} "
            found = self._finding(
                best_at, point, "closed", f"{text}and came back at step {point.step:,}"
            )
            self._start(point, height, spread)
            return found
        if best_at is None or height < self.best:
            self._start(point, height, spread)
            return None
        self.medians = [*self.medians[1 - _TREND :], height]
        self.after += 1
        lasted = len(self.medians) == _TREND and self.after * BLOCK >= limits.lasting
        if not lasted or height <= self.best + above or tau(self.medians) < limits.rising:
            return None
        self.opened = True
        return self._finding(best_at, point, "open", self._rise(best_at, point, height))

    def _start(self, point: Point, height: float, spread: float) -> None:
        self.best, self.best_noise, self.best_at = height, spread, point
        self.medians, self.after = [], 0

    def _rise(self, since: Point, point: Point, height: float) -> str:
        steps = count(point.step - since.step, "step")
        best = f"its best {number(self.best)} at step {since.step:,}"
        return f"{self.metric} has risen from {best} to {number(height)} over {steps}"

    def _finding(
        self, since: Point, point: Point, state: Literal["open", "closed"], text: str
    ) -> Finding:
        return Finding(
            kind="divergence",
            metric=self.metric,
            since_step=since.step,
            since=since.at,
            last_step=point.step,
            last_seen=point.at,
            state=state,
            text=text,
        )


def tau(values: list[float]) -> float:
    """Kendall's tau against the order of values: 1 where each is above those before, -1 below."""
    pairs = list(itertools.combinations(values, 2))
    return sum((later > earlier) - (later < earlier) for earlier, later in pairs) / len(pairs)
