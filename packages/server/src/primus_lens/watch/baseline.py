"""The level and the noise of the recent points of a series, so that outliers hardly move them.

Level: the median. Noise: 1.4826 times the median absolute deviation (MAD), which is the standard
deviation where the noise is normal (Hampel 1974; Leys et al. 2013, Journal of Experimental Social
Psychology 49:764). Up to half of the points may be outliers. Losses are mostly noisy in proportion
to their height, so while all points are positive both are taken on the logarithm.
"""

import math
from collections.abc import Sequence

import msgspec

OF_NORMAL = 1.4826  # 1 / the upper quartile of the standard normal distribution

_REFRESH = 8  # points between two computations: 20 us each, and the level moves slowly


def median(values: Sequence[float]) -> float:
    """The middle value; of an even number the mean of the two in the middle."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def noise(values: Sequence[float], level: float) -> float:
    """The MAD of values around their median, scaled to a standard deviation."""
    return OF_NORMAL * median([abs(value - level) for value in values])


class Baseline(msgspec.Struct):
    """A window of points. values: oldest first. level, spread: on the logarithm if `log`."""

    values: list[float] = []
    unread: int = _REFRESH
    level: float = 0.0
    spread: float = 0.0
    log: bool = False

    def add(self, value: float, *, window: int, floor: float) -> None:
        """Take in a point. floor: the noise is at least so much of the level."""
        self.values.append(value)
        if len(self.values) > window:
            del self.values[: len(self.values) - window]
        self.unread += 1
        if self.unread >= _REFRESH:
            self._refresh(floor)

    def _refresh(self, floor: float) -> None:
        self.unread = 0
        self.log = min(self.values) > 0
        scaled = [math.log(value) for value in self.values] if self.log else self.values
        self.level = median(scaled)
        least = floor if self.log else floor * median([abs(value) for value in scaled])
        self.spread = max(noise(scaled, self.level), least)

    def height(self, value: float) -> float:
        """How many noises a value stands above the level."""
        if self.spread == 0:  # zero throughout, as a loss that is switched on later: no scale yet
            return 0.0
        if not self.log:
            return (value - self.level) / self.spread
        return (math.log(value) - self.level) / self.spread if value > 0 else -math.inf

    @property
    def shown_level(self) -> float:
        """The level in the series' own unit."""
        return math.exp(self.level) if self.log else self.level
