"""Alerts: what the watch found wrong with a run, and until when."""

from typing import Literal, get_args

import msgspec

Kind = Literal["nonfinite", "loss_spike", "stall", "throughput_drop", "divergence"]
"""What is wrong, docs/health.md."""

KINDS: tuple[Kind, ...] = get_args(Kind)

AlertState = Literal["open", "closed"]


class WatchedRun(msgspec.Struct, frozen=True, order=True):
    """One source of one run: what is watched on its own."""

    workload_uid: str
    data_source: str
    serial: int


class Finding(msgspec.Struct, frozen=True):
    """One trouble of one run as it stands.

    metric: "" for what concerns the whole run. since_step, since: where it began; they tell one
    trouble of a kind from the next. last_step, last_seen: up to where that was judged. passing: it
    was over before it was worth telling. text: for people. Times are Unix seconds of the job's
    clock.
    """

    kind: Kind
    metric: str
    since_step: int
    since: float
    last_step: int
    last_seen: float
    state: AlertState
    text: str
    passing: bool = False

    @property
    def key(self) -> tuple[Kind, str, int]:
        """What stays the same while it lasts."""
        return self.kind, self.metric, self.since_step


class Alert(msgspec.Struct, frozen=True):
    """A finding with the run it is about. opened, closed: Unix seconds of the server's clock."""

    run: WatchedRun
    run_id: str
    finding: Finding
    opened: float
    closed: float | None


class Silence(msgspec.Struct, frozen=True):
    """Until when alerts of a workload are not told. until: Unix seconds. kinds: () means all."""

    until: float = 0.0
    kinds: tuple[Kind, ...] = ()

    def covers(self, kind: Kind, now: float) -> bool:
        """Whether an alert of a kind is silent now."""
        return now < self.until and (not self.kinds or kind in self.kinds)
