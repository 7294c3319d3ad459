"""What a `.wandb` file says about its run beside the rows: name, config, definitions, end."""

import contextlib
import json
from typing import Any

from primus_lens.importing import protobuf, wandb_items
from primus_lens.importing.protobuf import Message
from primus_lens.importing.records import Account
from primus_lens.importing.redaction import without_secrets

# Fields of wandb_internal.proto.
RUN, RUN_ID = 17, 1
_SUMMARY, _CONFIG, _METRIC, _EXIT = 3, 5, 12, 18
_RUN_TEXTS = {2: "entity", 3: "project", 6: "group", 7: "job_type", 8: "name", 13: "hostname"}
_RUN_CONFIG, _RUN_TAGS, _RUN_STARTED = 4, 10, 17
_UPDATE, _REMOVE = 1, 2
_VALUE_FOLLOWS = b"\x82\x01"  # the tag of value_json, which comes after the names
_NAME, _GLOB, _STEP_METRIC, _OPTIONS, _GOAL, _CONTROL = 1, 2, 4, 6, 8, 9
_GOALS = {1: "minimize", 2: "maximize"}


class RunFacts:
    """Gathers what records say into the account of their source."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._config: dict[str, Any] = {}
        self._summary: dict[bytes, bytes] = {}
        self._readers = {
            RUN: self._introduce,
            _CONFIG: self._configure,
            _SUMMARY: self._summarise,
            _METRIC: self._define,
            _EXIT: self._end,
        }

    def read(self, kind: int, record: protobuf.Value) -> None:
        """Take in a record by the number of its kind; others say nothing about the run.

        Raises NotProtobuf, ValueError.
        """
        if kind in self._readers:
            self._readers[kind](Message(record))

    def note_time(self, at: float | None) -> None:
        """Follow the last moment the file speaks of."""
        if at is not None and at > self._account.facts.get("attempt", float("-inf")):
            self._account.facts["attempt"] = at

    def close(self) -> None:
        """The file is read: what was left for the end. Raises nothing."""
        with contextlib.suppress(ValueError, RecursionError):
            items = map(wandb_items.item, self._summary.values())
            self._account.facts["summary"] = dict(wandb_items.numbers(items))

    def _introduce(self, run: Message) -> None:
        facts = self._account.facts
        texts = {field: run.text(number) for number, field in _RUN_TEXTS.items()}
        facts.update({field: without_secrets(text) for field, text in texts.items() if text})
        tags = [without_secrets(protobuf.text(tag)) for tag in run.all(_RUN_TAGS)]
        if tags:
            facts["tags"] = tags
        started = run.message(_RUN_STARTED)
        if started.integer(1):
            facts["started_at"] = started.integer(1) + started.integer(2) / 1e9
            self.note_time(facts["started_at"])
        self._configure(run.message(_RUN_CONFIG))

    def _configure(self, config: Message) -> None:
        for update in map(wandb_items.item, config.all(_UPDATE)):
            _put(self._config, update.path, json.loads(update.text) if update.text else None)
        for removed in map(wandb_items.item, config.all(_REMOVE)):
            self._config.pop(removed.path[0], None)
        # _wandb is wandb's own telemetry.
        told = {name: value for name, value in self._config.items() if name != "_wandb"}
        self._account.facts["config"] = without_secrets(told)

    def _summarise(self, summary: Message) -> None:
        # wandb repeats every row in a summary record; only the last word on each name is read.
        for update in summary.all(_UPDATE):
            name = update.partition(_VALUE_FOLLOWS)[0]
            self._summary.pop(name, None)  # so that the last word also comes last
            self._summary[name] = update
        for removed in summary.all(_REMOVE):
            self._summary.pop(removed.partition(_VALUE_FOLLOWS)[0], None)

    def _define(self, metric: Message) -> None:
        name = metric.text(_NAME) or metric.text(_GLOB)
        if not name:
            return
        known = self._account.definitions
        said = {} if metric.message(_CONTROL).integer(1) else dict(known.get(name, {}))
        said["name"] = name
        if metric.text(_STEP_METRIC):
            said["step_metric"] = metric.text(_STEP_METRIC)
        if metric.message(_OPTIONS).integer(2):
            said["hidden"] = True
        if metric.integer(_GOAL) in _GOALS:
            said["goal"] = _GOALS[metric.integer(_GOAL)]
        known[name] = said

    def _end(self, end: Message) -> None:
        facts, code = self._account.facts, end.integer(1)
        facts["exit_code"] = code
        facts["state"] = "failed" if code else "finished"
        if "started_at" in facts:
            self.note_time(facts["started_at"] + end.integer(2))
        if "attempt" in facts:
            facts["ended_at"] = facts["attempt"]


def _put(into: dict[str, Any], path: tuple[str, ...], value: Any) -> None:  # noqa: ANN401 - JSON
    for part in path[:-1]:
        inner = into.get(part)
        if not isinstance(inner, dict):
            inner = into[part] = {}
        into = inner
    into[path[-1]] = value
