"""What the judges are fed."""

import math
from collections.abc import Mapping

import msgspec


class Point(msgspec.Struct, frozen=True):
    """One value of one metric. at: Unix seconds of the job's clock."""

    step: int
    at: float
    value: float

    @property
    def is_finite(self) -> bool:
        """Whether it is a number."""
        return math.isfinite(self.value)


class JudgedRow(msgspec.Struct, frozen=True):
    """What a run reported at a step. values: by the metric's own name; numbers, or their names."""

    step: int
    at: float
    values: Mapping[str, object]
