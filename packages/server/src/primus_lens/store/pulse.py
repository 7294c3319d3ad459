"""What a group of rows adds to a run's pulse: its newest steps, its newest losses, what it touched.

Pure; called by points_write, read by query/fleet (rings) and store/changes (touched).
"""

import functools
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from primus_lens.model import naming
from primus_lens.model.points import Row
from primus_lens.store.points_read import ranges

RING = 32  # the newest so many; a sparkline's width, and enough for a median
SHOWN = 6  # newest values in a list of workloads

DONE = ("iteration", "global_step", "train/global_step", "trainer/global_step")
"""Metrics that count steps in the target's unit where the job's wandb step does not."""

TARGET = "target_iteration"
"""The metric in which a job tells its target."""

_SUREST = ("loss", "train/loss", "train_loss", "training_loss", "training/loss", "lm loss")
_TRAINING = re.compile(r"train|\blm\b")
_ELSEWHERE = re.compile(r"val|eval|test|aux|_scale|scale")
_PAIR = struct.Struct("<dd")


class Pulse(msgspec.Struct, frozen=True):
    """loss: the metric that is the run's loss, None without one. loss_rank: the lower the surer.

    recent_steps: (step, Unix seconds) pairs. recent_losses: (step, value) pairs. Both packed as
    little-endian float64, oldest first. touched: JSON, see run_change. shown: JSON, what a fleet
    shows of the newest values.
    """

    loss: str | None
    loss_rank: int | None
    recent_steps: bytes
    recent_losses: bytes
    touched: str
    shown: str


def of_rows(rows: Sequence[Row], latest: Mapping[str, Any]) -> Pulse:
    """What rows of one run and source add. rows: newest first. latest: their newest numbers."""
    steps: dict[int, float] = {}
    for row in rows:
        steps.setdefault(row.step, row.at)
        if len(steps) == RING:
            break
    rank, loss = loss_among(latest)
    losses: dict[int, float] = {}
    if loss is not None:
        for row in rows:
            if loss in row.metrics and is_number(row.metrics[loss]):
                losses.setdefault(row.step, float(row.metrics[loss]))
                if len(losses) == RING:
                    break
    return Pulse(loss, rank, _ring(steps), _ring(losses), touched(rows), _shown(latest))


@functools.lru_cache(maxsize=1_024)  # jobs of a kind log the same metrics; 1 us else
def first_shown(names: tuple[str, ...]) -> list[str]:
    """The names a list of workloads shows: losses first, they are what it is looked at for."""
    return sorted(names, key=lambda name: ("loss" not in name, name))[:SHOWN]


def _shown(latest: Mapping[str, Any]) -> str:
    values = {name: latest[name] for name in _kept(tuple(latest))}
    return msgspec.json.encode(values).decode()


@functools.lru_cache(maxsize=1_024)  # jobs of a kind log the same metrics; 20 us of 50 names else
def _kept(names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of a group's metrics of which the value is kept beside all of them.

    Whatever groups come, what they keep together holds the first that are shown of all metrics,
    every loss, and what progress is told by, each at its newest value.
    """
    losses = {name for name in names if "loss" in name.lower()}
    always = losses | {TARGET, *DONE}.intersection(names)
    return (*sorted(always), *sorted(set(names) - always)[:SHOWN])


def loss_among(names: Iterable[str]) -> tuple[int | None, str | None]:
    """The metric that is most surely the training loss, with its rank; None without any.

    Rank: the well-known names first, then a name with "train" or "lm" and "loss" in it, then any
    with "loss", last those of an evaluation; of one rank the shortest, which the rank tells too.
    """
    ranked = [(_rank(name), name) for name in names if "loss" in name.lower()]
    return min(ranked, default=(None, None))


def _rank(name: str) -> int:
    plain = name.lower()
    if plain in _SUREST:
        return _SUREST.index(plain)
    kind = 3 if _ELSEWHERE.search(plain) else 1 if _TRAINING.search(plain) else 2
    return kind * 1_000 + min(len(name), 999)


def _ring(pairs: dict[int, float]) -> bytes:
    return b"".join(_PAIR.pack(step, number) for step, number in reversed(pairs.items()))


def touched(rows: Iterable[Row]) -> str:
    """Which steps carry which metrics, as JSON: [[[first, last], ...], [name, ...]], ..."""
    steps_of: dict[tuple[str, ...], list[int]] = {}
    for row in rows:
        steps_of.setdefault(tuple(row.metrics), []).append(row.step)
    found = [(ranges(sorted(set(steps))), names) for names, steps in steps_of.items()]
    return msgspec.json.encode(found).decode()


def is_number(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether a stored value belongs in a curve; JSONB holds non-finite ones as text."""
    if isinstance(value, str):
        return value in naming.NUMBERS_AS_TEXT
    return isinstance(value, int | float) and not isinstance(value, bool)
