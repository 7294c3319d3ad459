"""What is said about a run, cut to what may leave the process before it is written to the spool.

A config may hold passwords, and the spool is a file: so the allow-list is applied in the thread
that says it, at the few moments a run is started or configured.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from primus_lens_wandb_exporter import _redaction

_NAMED = ("NaN", "Infinity", "-Infinity")
_TEXTS = {  # RunRecord's field: ours
    "entity": "entity",
    "project": "project",
    "run_group": "group",
    "job_type": "job_type",
    "display_name": "name",
    "host": "hostname",
}


def of_run(run: Any) -> bytes:
    """Return the payload of a RUN frame: facts, and the config it starts with.

    run: wandb's RunRecord.
    """
    facts: dict[str, Any] = {"state": "running"}
    for field, name in _TEXTS.items():
        if getattr(run, field):
            facts[name] = _redaction.text(getattr(run, field))
    if run.tags:
        facts["tags"] = [_redaction.text(tag) for tag in run.tags]
    started = run.start_time.seconds + run.start_time.nanos / 1e9
    if started:
        facts["started_at"] = started
    return json.dumps({"facts": facts, "config": _changes(run.config)}).encode()


def is_shared(run: Any) -> bool:
    """Say whether several processes write to the run, by what wandb notes for its own statistics.

    run: wandb's RunRecord; one of a wandb without mode="shared" has no such note.
    """
    return bool(getattr(run.telemetry.feature, "shared_mode", False))


def of_disabled_run(config: Mapping[str, Any], started_at: float) -> bytes:
    """Return the payload of a RUN frame for a run wandb keeps no record of."""
    facts = {"state": "running", "started_at": started_at}
    update = [[[key], value] for key, value in _redaction.allowed_config(config).items()]
    return json.dumps({"facts": facts, "config": {"update": update, "remove": []}}).encode()


def of_config(config: Any) -> bytes:
    """Return the payload of a CONFIG frame. config: wandb's ConfigRecord."""
    return json.dumps(_changes(config)).encode()


def of_summary(summary: Any) -> bytes:
    """Return the payload of a SUMMARY frame: numbers by name. summary: wandb's SummaryRecord."""
    said: dict[str, Any] = {}
    for item in summary.update:
        # What JSON cannot write as a number, wandb and the protocol both name: "NaN", "Infinity".
        value = json.loads(item.value_json or "null", parse_constant=str)
        said.update(_numbers(".".join(_path(item)), value))
    return json.dumps(said).encode()


def _numbers(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(f"{name}.{key}", inner)
    elif value in _NAMED:
        yield name, value
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield name, _redaction.number(value)


def _changes(config: Any) -> dict[str, Any]:
    """Return the allowed part of a ConfigRecord: [path, value] pairs, and names removed."""
    pairs = ((_path(item), json.loads(item.value_json or "null")) for item in config.update)
    update = [[path, value] for path, value in _allowed(pairs)]
    remove = [_path(item)[:1] for item in config.remove]
    return {"update": update, "remove": [name for (name,) in remove if _may_be_kept(name)]}


def _path(item: Any) -> list[str]:
    return [item.key] if item.key else list(item.nested_key)


def _allowed(pairs: Iterable[tuple[list[str], Any]]) -> Iterable[tuple[list[str], Any]]:
    for path, value in pairs:
        nested = value
        for name in reversed(path):
            nested = {name: nested}
        kept: Any = _redaction.allowed_config(nested)
        for name in path:
            kept = kept.get(name) if isinstance(kept, dict) else None
        if path and kept is not None:
            yield path, kept


def _may_be_kept(name: str) -> bool:
    """Say whether a config can have this name after the allow-list; others were never sent."""
    return bool(
        _redaction.allowed_config({name: 1}) or _redaction.allowed_config({name: {"lr": 1}})
    )
