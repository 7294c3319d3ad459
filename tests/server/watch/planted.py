"""Seeded curves without trouble and with one planted; for the tests and for bench/watch.py."""

from collections.abc import Iterator, Mapping

import numpy as np

from primus_lens.model.alerts import Finding
from primus_lens.settings import Thresholds
from primus_lens.watch.judge import RunJudge
from primus_lens.watch.points import JudgedRow

NOISES = ("normal", "heavy", "correlated", "proportional", "skewed", "none")
SHAPES = ("constant", "falling", "power law", "stairs")
ROWS = 1_000
PLANTED_AT = 600


def noise(rng, kind, size):
    """Noise of standard deviation about 1."""
    if kind == "normal":
        return rng.normal(size=size)
    if kind == "heavy":  # Student's t with 3 degrees of freedom
        return rng.standard_t(3, size=size) / np.sqrt(3)
    if kind == "correlated":  # autoregressive, half of the deviation survives 6 points
        fresh = rng.normal(size=size) * np.sqrt(1 - 0.9**2)
        made = np.empty(size)
        last = rng.normal()
        for i, each in enumerate(fresh):
            last = made[i] = 0.9 * last + each
        return made
    if kind == "proportional":
        return np.expm1(rng.normal(size=size) * 0.3) / 0.3
    if kind == "skewed":
        return rng.exponential(size=size) - 1
    return np.zeros(size)


def calm_loss(seed, *, rows=ROWS):
    """A loss that stays or falls slowly, with noise of up to a fifth of its level."""
    rng = np.random.default_rng(seed)
    shape, kind = SHAPES[seed % len(SHAPES)], NOISES[seed // len(SHAPES) % len(NOISES)]
    at = np.arange(rows)
    level = 10 ** rng.uniform(-2, 1.5)
    curve = {
        "constant": np.ones(rows),
        "falling": 1 - 0.8 * at / rows,
        "power law": (1 + at / 20) ** -0.3,
        "stairs": np.where(at < rows / 3, 1, np.where(at < 2 * rows / 3, 0.7, 0.5)),
    }[shape]
    relative = 10 ** rng.uniform(-3, np.log10(0.2))
    return level * curve * np.maximum(1 + relative * noise(rng, kind, rows), 0.01)


def times(seed, *, rows=ROWS, least_s=0.01):
    """When rows came: steps of least_s to 10 s, jittering, with evaluations and checkpoints."""
    rng = np.random.default_rng([seed, 1])
    step_s = 10 ** rng.uniform(np.log10(least_s), 1)
    took = step_s * rng.lognormal(0, rng.uniform(0.01, 0.3), rows)
    took[:: int(rng.integers(20, 200))] += step_s * rng.uniform(1, 3)
    took[:: int(rng.integers(100, 400))] += step_s * rng.uniform(1, 4)
    return 1_700_000_000 + np.cumsum(took)


def rows_of(values: Mapping[str, object], at) -> Iterator[JudgedRow]:
    """Rows out of columns."""
    columns = {name: np.asarray(column).tolist() for name, column in values.items()}
    for step, moment in enumerate(np.asarray(at).tolist()):
        yield JudgedRow(step, moment, {name: column[step] for name, column in columns.items()})


class Judged:
    """What a judge said of rows. said: every finding with the step at which it was made."""

    def __init__(self, rows, limits=Thresholds(), judge=None):  # noqa: B008 - frozen
        self.judge = judge or RunJudge(limits)
        self.said: list[tuple[int, Finding]] = []
        for row in rows:
            self.said += [(row.step, found) for found in self.judge.feed(row)]

    @property
    def newest(self) -> dict[tuple, Finding]:
        """Each trouble as it stands at the end."""
        return {found.key: found for _, found in self.said}

    @property
    def alerts(self) -> list[Finding]:
        """The troubles that were worth telling."""
        return [found for found in self.newest.values() if not found.passing]

    def opened_at(self, kind, metric=""):
        """The step at which a trouble was first told, None if never."""
        steps = [
            step
            for step, found in self.said
            if (found.kind, found.metric) == (kind, metric) and not found.passing
        ]
        return min(steps, default=None)
