"""How far a job means to go, as its config says. Pure; called by transaction."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

KEYS = (
    "target_iteration",
    "max_steps",
    "train_iters",
    "total_steps",
    "max_iters",
    "num_train_steps",
    "num_training_steps",
    "total_iterations",
    "total_train_steps",
    "train_steps",
    "training_steps",
    "max_train_steps",
    "max_iterations",
    "num_steps",
)
"""Names in the configs of Megatron, transformers, Lightning, torchtitan; the surest first."""

_DEPTH = 4  # of nested configs: trainer.args.max_steps
_SEPARATORS = re.compile(r"[./]")
_LARGEST = 2**63 - 1


def target_step(config: Mapping[str, Any]) -> int | None:
    """The step at which the job means to end, None where its config does not say.

    Nested entries count, and names such as "trainer.max_steps". Of several the earliest in KEYS,
    the least nested. -1 and 0, which mean "no limit", do not count.
    """
    found: dict[str, tuple[int, int]] = {}
    for depth, name, value in _entries(config, 0):
        key = _SEPARATORS.split(name)[-1].lower().replace("-", "_")
        if key in KEYS and (key not in found or depth < found[key][0]):
            found[key] = depth, value
    return next((found[key][1] for key in KEYS if key in found), None)


def _entries(config: Mapping[str, Any], depth: int) -> Iterator[tuple[int, str, int]]:
    """Every entry that may be a number of steps: how deep it lies, its name, its value."""
    for name, value in config.items():
        if isinstance(value, Mapping) and depth < _DEPTH:
            yield from _entries(value, depth + 1)
        elif (count := _count(value)) is not None:
            yield depth, name, count


def _count(value: Any) -> int | None:  # noqa: ANN401 - any JSON value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if number and 1 <= value <= _LARGEST and int(value) == value else None
