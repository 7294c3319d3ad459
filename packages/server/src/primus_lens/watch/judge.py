"""The judge of one run: rows go in, findings come out. Pure: no clock, no database.

What it remembers is its state, which can be written down and taken up again: the same rows then
give the same findings, wherever the watch was interrupted. Called by sweep and replay.
"""

import fnmatch
import functools
from collections.abc import Iterator, Sequence

import msgspec

from primus_lens.model.alerts import Finding
from primus_lens.settings import Thresholds
from primus_lens.watch.divergence import DivergenceWatch
from primus_lens.watch.loss_spike import SpikeWatch
from primus_lens.watch.nonfinite import NonfiniteWatch
from primus_lens.watch.pace import StallWatch, ThroughputWatch
from primus_lens.watch.points import JudgedRow, Point

STATE_VERSION = 1  # of RunState's form; another one is not read, and the run is judged anew

_MOST_METRICS = 5_000  # of a run whose NaN is told from one that was always there


class LossState(msgspec.Struct):
    """What is remembered of a loss."""

    spike: SpikeWatch
    divergence: DivergenceWatch


class RunState(msgspec.Struct):
    """What is remembered of one run. last_step: up to where it is judged.

    finite: the metrics that were a number once.
    """

    version: int = STATE_VERSION
    last_step: int = -1
    ended: bool = False
    stall: StallWatch = msgspec.field(default_factory=StallWatch)
    throughput: ThroughputWatch = msgspec.field(default_factory=ThroughputWatch)
    losses: dict[str, LossState] = {}
    nonfinite: dict[str, NonfiniteWatch] = {}
    finite: set[str] = set()

    def encoded(self) -> bytes:
        """As it is written down."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def decoded(cls, content: bytes) -> "RunState | None":
        """What was written down; None if another version wrote it."""
        try:
            state = msgspec.msgpack.decode(content, type=cls)
        except msgspec.MsgspecError:
            return None
        return state if state.version == STATE_VERSION else None


class RunJudge:
    """Judges the rows of one run in the order of their steps."""

    def __init__(self, limits: Thresholds, state: RunState | None = None) -> None:
        self.limits = limits
        self.state = state or RunState()

    def feed(self, row: JudgedRow, *, began_at: float = 0.0) -> Iterator[Finding]:
        """The findings that a row makes or changes. began_at: of the run's newest attempt."""
        state, limits = self.state, self.limits
        state.last_step, state.ended = row.step, False
        found = [state.stall.feed(row.step, row.at, began_at, limits.stall)]
        if limits.throughput_drop.enabled:
            drop = state.throughput.feed(row.step, row.at, began_at, limits.throughput_drop)
            found.append(drop)
        for name, value in row.values.items():
            number = _float(value)
            if number is None:
                continue
            is_loss = _is_loss(name, limits.losses, limits.not_losses)
            if not is_loss and number - number == 0:  # finite, and the quickest way to see it
                if name in state.finite and name not in state.nonfinite:
                    continue
                self._note_finite(name)
            point = Point(row.step, row.at, number)
            found.append(self._nonfinite(name, point, is_loss=is_loss))
            if is_loss:
                found.extend(self._loss(name, point))
        yield from (each for each in found if each is not None)

    def _note_finite(self, name: str) -> None:
        if len(self.state.finite) < _MOST_METRICS:
            self.state.finite.add(name)

    def _nonfinite(self, name: str, point: Point, *, is_loss: bool) -> Finding | None:
        limits, troubles = self.limits.nonfinite, self.state.nonfinite
        trouble = troubles.get(name)
        if trouble is None:
            if point.is_finite or not limits.enabled or not self._is_asked(name, is_loss=is_loss):
                return None
            needed = 1 if is_loss else limits.lasting
            trouble = troubles[name] = NonfiniteWatch(name, point, point, needed)
        found = trouble.feed(point, limits)
        if trouble.is_over(limits):
            del troubles[name]
        return found

    def _is_asked(self, name: str, *, is_loss: bool) -> bool:
        if is_loss:
            return True
        # A metric that never was a number is not in trouble: it is empty.
        return name in self.state.finite and _matches(name, self.limits.nonfinite.metrics)

    def _loss(self, name: str, point: Point) -> Iterator[Finding | None]:
        limits, losses = self.limits, self.state.losses
        loss = losses.get(name)
        if loss is None:
            loss = losses[name] = LossState(SpikeWatch(name), DivergenceWatch(name))
        if limits.loss_spike.enabled and point.is_finite:
            yield loss.spike.feed(point, limits.loss_spike)
        if limits.divergence.enabled and not _matches(name, limits.divergence.exclude):
            yield loss.divergence.feed(point, limits.divergence)

    def look(self, silence_s: float) -> Iterator[Finding]:
        """What the silence of a running run makes. silence_s: since its last row came."""
        if self.limits.stall.enabled:
            found = self.state.stall.look(silence_s, self.limits.stall)
            if found is not None:
                yield found

    def end(self, at: float) -> Iterator[Finding]:
        """The run said that it has ended. at: Unix seconds."""
        if self.state.ended:
            return
        self.state.ended = True
        for found in (self.state.stall.end(at), self.state.throughput.end()):
            if found is not None:
                yield found

    def rewind(self, step: int) -> None:
        """The rows from a step on were written anew, and are judged again."""
        self.state.last_step = step - 1
        self.state.throughput.last_step = -1


def _float(value: object) -> float | None:
    """A stored value as a number; None if it is none."""
    if isinstance(value, float):
        return value
    if isinstance(value, bool):
        return None
    try:
        return float(value) if isinstance(value, int) else _NAMED.get(value)  # type: ignore[call-overload]  # any other JSON
    except (OverflowError, TypeError):  # beyond float64, or a list
        return None


_NAMED = {
    "NaN": float("nan"),
    "Infinity": float("inf"),
    "-Infinity": float("-inf"),
    "-0.0": -0.0,
}


@functools.lru_cache(maxsize=20_000)
def _is_loss(name: str, losses: Sequence[str], not_losses: Sequence[str]) -> bool:
    return _matches(name, losses) and not _matches(name, not_losses)


@functools.lru_cache(maxsize=20_000)
def _matches(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name.lower(), glob.lower()) for glob in globs)
