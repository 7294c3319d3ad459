"""NaN and infinities, of any metric. Pure; a detector is its own state."""

import msgspec

from primus_lens.model.alerts import Finding
from primus_lens.settings import Nonfinite
from primus_lens.watch.points import Point
from primus_lens.watch.words import count, number


class NonfiniteWatch(msgspec.Struct):
    """One trouble of one metric, from its first value that is no number to `clear` numbers.

    needed: how many such values make an alert.
    """

    metric: str
    first: Point
    last: Point
    needed: int
    seen: int = 0
    numbers: int = 0
    opened: bool = False

    def feed(self, point: Point, limits: Nonfinite) -> Finding | None:
        """Judge a point. The trouble is over when `is_over`."""
        if point.is_finite:
            self.numbers += 1
            self.last = point
            return self._finding("closed") if self.is_over(limits) else None
        self.last = point
        # What comes and goes one by one is one trouble, and counts as long as it is not over.
        self.seen += 1
        self.numbers = 0
        self.opened = self.opened or self.seen >= self.needed
        return self._finding("open") if self.opened else None

    def is_over(self, limits: Nonfinite) -> bool:
        """Whether numbers have been back for long enough."""
        return self.numbers >= limits.clear

    def _finding(self, state: "str") -> Finding:
        what, step = number(self.first.value), self.first.step
        times = count(self.seen, "value")
        if state == "open":
            text = f"{self.metric} is {what} since step {step:,} ({times} so far)"
            if self.numbers:
                text = f"{self.metric} was {what} at step {step:,} ({times})"
        else:
            text = f"{self.metric} was {what} at step {step:,} ({times}) and is a number again"
        return Finding(
            kind="nonfinite",
            metric=self.metric,
            since_step=step,
            since=self.first.at,
            last_step=self.last.step,
            last_seen=self.last.at,
            state="open" if state == "open" else "closed",
            text=text,
            passing=not self.opened,
        )
