"""The thresholds of one workload: the server's, with what people set for it laid over them."""

from collections.abc import Mapping
from typing import Any

import msgspec

from primus_lens.model import errors
from primus_lens.settings import Thresholds

_FIELDS = [field.name for field in msgspec.structs.fields(Thresholds)]


def document(limits: Thresholds) -> dict[str, Any]:
    """Thresholds as JSON has them."""
    return {name: msgspec.to_builtins(getattr(limits, name)) for name in _FIELDS}


def with_own(limits: Thresholds, own: Mapping[str, Any]) -> Thresholds:
    """Thresholds with some of them set otherwise. Raises InvalidField naming the place.

    own: by group, as {"loss_spike": {"k": 6}}; lists replace lists.
    """
    laid = document(limits)
    for name, value in own.items():
        group = laid.get(name)
        if isinstance(group, dict) and isinstance(value, Mapping):
            laid[name] = {**group, **value}
        else:
            laid[name] = value
    try:
        chosen = msgspec.convert(laid, Thresholds)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$.")
        where = f"thresholds.{place.rstrip('`')}" if place else "thresholds"
        raise errors.InvalidField(
            f"{where}: {what}; allowed is what docs/health.md lists",
            [errors.FieldProblem(where, msgspec.to_builtins(own), what)],
        ) from error
    return chosen


def parsed(words: list[str]) -> dict[str, Any]:
    """What the command line sets: `loss_spike.k=6`, `losses=["*ce*"]`. Raises ConfigError."""
    own: dict[str, Any] = {}
    for word in words:
        path, equals, text = word.partition("=")
        names = path.split(".")
        if not equals or len(names) > 2 or not all(names):  # noqa: PLR2004 - group and threshold
            raise errors.ConfigError(f'"{word}" is no threshold; write it as loss_spike.k=6')
        try:
            value = msgspec.json.decode(text)
        except msgspec.DecodeError:
            value = text
        if len(names) == 1:
            own[path] = value
        else:
            own.setdefault(names[0], {})[names[1]] = value
    return own
