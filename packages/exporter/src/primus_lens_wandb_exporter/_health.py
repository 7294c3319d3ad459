"""Counters of this process: what was posted, what was lost and why."""

counts: dict[str, int] = {}
_LOSSES = ("dropped_full", "dropped_rejected", "dropped_corrupt", "dropped_name")


def add(name: str, amount: int = 1) -> None:
    """Count something."""
    counts[name] = counts.get(name, 0) + amount


def losses() -> dict[str, int]:
    """Return what was lost, by cause; empty when nothing was."""
    return {name: counts[name] for name in _LOSSES if counts.get(name)}
