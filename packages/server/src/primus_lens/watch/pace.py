"""How fast a run's rows come: too slow by its own measure, or not at all. Pure; its own state.

Everything is measured in the run's own times, so that a job of a step in ten milliseconds and one
of a step in ten minutes are judged alike. Medians leave pauses for evaluations and checkpoints out.
"""

from typing import Literal

import msgspec

from primus_lens.model.alerts import Finding
from primus_lens.settings import Stall, ThroughputDrop
from primus_lens.watch.baseline import median, noise
from primus_lens.watch.words import duration

BLOCK = 16  # rows of a median: seven of them may be pauses
_BLOCKS = 64  # medians that are kept
_LEAST_BLOCKS = 4  # before a drop is judged
_TWICE = 2  # slow blocks in a row, so that a burst of pauses is none
_INTERVALS = 64  # between the last rows
_AGAIN = 1.1  # times the silence last told, so that an open stall is not written down at each look
_LEAST_INTERVALS = 8  # before the run has a time of its own


class StallWatch(msgspec.Struct):
    """The silence after a row. intervals: seconds between the last rows. pauses: the two longest.

    said_s: the silence after the last row as it was last told, 0 for not at all.
    """

    last_step: int = -1
    last_at: float = 0.0
    intervals: list[float] = []
    pauses: tuple[float, float] = (0.0, 0.0)
    said_s: float = 0.0

    def patience_s(self, limits: Stall) -> float:
        """After how long a silence is a stall."""
        if len(self.intervals) < _LEAST_INTERVALS:
            return max(limits.least_s, limits.start_s)
        own = limits.k * median(self.intervals)
        return max(limits.least_s, own, limits.habit * self.pauses[1])

    def feed(self, step: int, at: float, began_at: float, limits: Stall) -> Finding | None:
        """Take in a row. began_at: when the run's newest attempt began."""
        found = None
        if self.last_step >= 0 and at > self.last_at:
            silence = at - self.last_at
            restarted = self.last_at < began_at <= at
            stalled = self.said_s > 0 or (not restarted and silence > self.patience_s(limits))
            if limits.enabled and stalled:
                found = self._finding("closed", silence, step, at)
            if not restarted:
                self._note(silence)
        self.last_step, self.last_at, self.said_s = step, max(at, self.last_at), 0.0
        return found

    def _note(self, silence: float) -> None:
        self.intervals = [*self.intervals[1 - _INTERVALS :], silence]
        longest, second = self.pauses
        if silence > longest:
            self.pauses = silence, longest
        elif silence > second:
            self.pauses = longest, silence

    def look(self, silence_s: float, limits: Stall) -> Finding | None:
        """Judge the silence of a run that says it is running."""
        if self.last_step < 0 or silence_s <= self.patience_s(limits):
            return None
        if silence_s < _AGAIN * self.said_s:
            return None
        self.said_s = silence_s
        return self._finding("open", silence_s, self.last_step, self.last_at + silence_s)

    def end(self, at: float) -> Finding | None:
        """The run has ended: it is silent for a reason."""
        if not self.said_s:
            return None
        self.said_s = 0.0
        return self._finding("closed", at - self.last_at, -1, at)

    def _finding(
        self, state: Literal["open", "closed"], silence: float, step: int, at: float
    ) -> Finding:
        usual = duration(median(self.intervals)) if self.intervals else "unknown"
        waited = f"for {duration(silence)} after step {self.last_step:,}"
        if state == "open":
            text = f"nothing came {waited}; rows usually come every {usual}"
        elif step < 0:
            text = f"nothing came {waited}; then the run ended"
        else:
            text = f"nothing came {waited}; it goes on with step {step:,}"
        return Finding(
            kind="stall",
            metric="",
            since_step=self.last_step,
            since=self.last_at,
            last_step=self.last_step if step < 0 else step,
            last_seen=at,
            state=state,
            text=text,
        )


class ThroughputWatch(msgspec.Struct):
    """The time a step takes. block: of rows since the last median. medians: while all was well.

    slow: blocks in a row that were slow; since_step, since: where the first of them began.
    """

    last_step: int = -1
    last_at: float = 0.0
    block: list[float] = []
    block_step: int = -1
    block_at: float = 0.0
    medians: list[float] = []
    slow: int = 0
    well: int = 0
    since_step: int = -1
    since: float = 0.0
    pace: float = 0.0
    opened: bool = False

    def feed(self, step: int, at: float, began_at: float, limits: ThroughputDrop) -> Finding | None:
        """Take in a row. began_at: when the run's newest attempt began."""
        steps, seconds = step - self.last_step, at - self.last_at
        known = self.last_step >= 0 and steps > 0 and seconds >= 0
        restarted = self.last_at < began_at <= at
        before = self.last_step, self.last_at
        self.last_step, self.last_at = step, at
        if not known or restarted:
            self.block = []
            return None
        if not self.block:
            self.block_step, self.block_at = before
        self.block.append(seconds / steps)
        if len(self.block) < BLOCK:
            return None
        pace = median(self.block)
        self.block = []
        if len(self.medians) < _LEAST_BLOCKS:
            self.medians.append(pace)
            return None
        return self._judge(pace, step, at, limits)

    def _judge(self, pace: float, step: int, at: float, limits: ThroughputDrop) -> Finding | None:
        own = self.own
        most = max(limits.ratio * own, own + limits.k * noise(self.medians, median(self.medians)))
        is_slow = pace > (most if not self.opened else own + (most - own) / 2)
        if not is_slow:
            return self._well(pace, step, at)
        if self.slow == 0:
            self.since_step, self.since = self.block_step, self.block_at
        self.slow += 1
        self.well = 0
        lasted = self.slow >= _TWICE and at - self.since >= limits.least_s
        self.opened = self.opened or lasted
        self.pace = pace
        return self._finding(step, at, "open") if self.opened else None

    def _well(self, pace: float, step: int, at: float) -> Finding | None:
        self.well += 1
        if self.opened and self.well < _TWICE:
            return None
        was_open, self.opened, self.slow, self.well = self.opened, False, 0, 0
        if was_open:
            return self._finding(step, at, "closed")
        self.medians = [*self.medians[1 - _BLOCKS :], pace]
        return None

    @property
    def own(self) -> float:
        """The run's own step time: the lower quartile, so that a slow creep is no habit."""
        return sorted(self.medians)[len(self.medians) // 4]

    def end(self) -> Finding | None:
        """The run has ended: nobody waits for its steps any more."""
        if not self.opened:
            return None
        self.opened, self.slow = False, 0
        return self._finding(self.last_step, self.last_at, "closed", ended=True)

    def _finding(
        self, step: int, at: float, state: Literal["open", "closed"], *, ended: bool = False
    ) -> Finding:
        own, pace = duration(self.own), duration(self.pace)
        text = f"a step takes {pace} since step {self.since_step:,}; it took {own} before"
        if ended:
            text = f"a step took {pace} from step {self.since_step:,} to the end; {own} before"
        elif state == "closed":
            text = f"a step took {pace} from step {self.since_step:,} to {step:,}; now {own} again"
        return Finding(
            kind="throughput_drop",
            metric="",
            since_step=self.since_step,
            since=self.since,
            last_step=step,
            last_seen=at,
            state=state,
            text=text,
        )
