"""Frames become records ready to post: the reading side, between `_spool` and `_sender`.

A record is what one frame says: points, facts about the run, definitions of metrics. What must be
remembered from frame to frame is small, can be copied, and is written back to the spool before a
segment is deleted, so a stranger can go on where this process stopped.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Optional

from primus_lens_wandb_exporter import _frames, _points, _protobuf

# Field numbers of wandb_internal.proto.
_METRIC_OPTIONS, _METRIC_GOAL, _METRIC_CONTROL = 6, 8, 9
_FIRST_VALUES = {_frames.METRIC: "0", _frames.METRIC_BEFORE_CORE: ""}  # of a step metric
_GOALS = {1: "minimize", 2: "maximize"}
_STEP_LIMIT = (1 << 63) - 1


LoggedRow = tuple[int, str, list[tuple[str, str]]]


class Record(NamedTuple):
    """One numbered record. points: JSON texts of points. facts: fields of `run`, or None.

    It waits for its request, many at a time, so it holds no container that it does not need: they
    would make the garbage collector walk through the job's own objects more often.
    """

    seq: int
    points: list[str]
    facts: Optional[dict[str, Any]] = None
    definitions: Sequence[dict[str, Any]] = ()


def unbroken(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Part records where one is missing: what is said of a range is said of all within."""
    start = 0
    for end in range(1, len(records) + 1):
        if end == len(records) or records[end].seq != records[end - 1].seq + 1:
            yield records[start:end]
            start = end


class Reading:
    """What is remembered between the frames of a stream.

    config, summary: all that was said of each. definitions: metric or glob name -> what
    define_metric said. latest: last value of each step metric, "" while there is none. row,
    row_step, row_at: the row that is not complete yet. ended: the run's end was read.

    Of the latest frame alone: logged, the row it was, as step, time and values, or None;
    refused_names: how many names the protocol has no place for.
    """

    def __init__(self, kept: Optional[dict[str, Any]] = None) -> None:
        kept = kept or {}
        self.config: dict[str, Any] = kept.get("config", {})
        self.summary: dict[str, Any] = kept.get("summary", {})
        self.definitions: dict[str, dict[str, Any]] = kept.get("definitions", {})
        self.latest: dict[str, str] = kept.get("latest", {})
        self.row: dict[str, str] = kept.get("row", {})
        self.row_step: int = kept.get("row_step", 0)
        self.row_at: str = kept.get("row_at", "")
        self.ended: bool = kept.get("ended", False)
        self.origin: str = ""
        self.names: dict[str, str] = {}
        self.logged: Optional[LoggedRow] = None
        self.refused_names = 0

    def kept(self) -> dict[str, Any]:
        """Return all of it as plain JSON."""
        return {
            "config": self.config,
            "summary": self.summary,
            "definitions": self.definitions,
            "latest": self.latest,
            "row": self.row,
            "row_step": self.row_step,
            "row_at": self.row_at,
            "ended": self.ended,
        }

    def copy(self) -> "Reading":
        """Return a reading that goes its own way from here.

        The config and each definition are replaced, never changed, so copies may share them.
        """
        twin = Reading(self.kept())
        twin.definitions, twin.latest = dict(self.definitions), dict(self.latest)
        twin.row, twin.origin, twin.names = dict(self.row), self.origin, self.names
        return twin

    def record(self, frame: _frames.Frame) -> Record:
        """Say what a frame says. Raises ValueError or IndexError if it says nothing readable."""
        self.logged, self.refused_names = None, 0
        if frame.kind in (_frames.ROW, _frames.PLAIN_ROW):
            return self._row_record(frame)
        points: list[str] = []
        facts: Optional[dict[str, Any]] = None
        definitions: Sequence[dict[str, Any]] = ()
        if frame.kind == _frames.RUN:
            said = json.loads(frame.payload)
            facts = {**said["facts"], "config": self._configure(said["config"])}
        elif frame.kind == _frames.CONFIG:
            facts = {"config": self._configure(json.loads(frame.payload))}
        elif frame.kind == _frames.SUMMARY:
            self.summary = {**self.summary, **json.loads(frame.payload)}
            facts = {"summary": self.summary}
        elif frame.kind in _FIRST_VALUES:
            definitions = [self._define(frame.payload, _FIRST_VALUES[frame.kind])]
        elif frame.kind == _frames.EXIT:
            self.ended = True
            points = self._complete()
            facts = _exit_facts(frame.payload)
        return Record(frame.seq, points, facts, definitions)

    def _row_record(self, frame: _frames.Frame) -> Record:
        points = self._complete() if frame.flags & _frames.ADVANCES else []
        if frame.kind == _frames.ROW:
            row = _points.from_wandb(frame.payload)
        else:
            said = json.loads(frame.payload)
            row = _points.from_plain(said["values"], said["at"])
        self.row.update(row.values)
        self.row.update((name, "") for name in row.others)
        self.row_step, self.row_at = frame.step, row.at
        self.origin = ',"step_origin":"unknown"' if frame.flags & _frames.STEP_UNKNOWN else ""
        points.extend(self._points(row.values))
        if frame.flags & _frames.FLUSHES:
            points.extend(self._complete())
        self.logged = (frame.step, row.at, row.values)
        return Record(frame.seq, points)

    def _points(self, values: Any) -> list[str]:
        end = f',"step":{self.row_step}'
        if self.row_at:
            end += f',"timestamp":{self.row_at}'
        end += self.origin + "}"
        found = []
        for name, text in values:
            start = self.names.get(name) or self._start(name)
            if start:
                found.append(start + text + end)
            else:
                self.refused_names += 1
        return found

    def _start(self, name: str) -> str:
        """Return how a point of this name begins, "" if the protocol has no place for the name."""
        if not 0 < len(name) <= _points.NAME_LIMIT or "\0" in name:
            return ""
        if any("\ud800" <= letter <= "\udfff" for letter in name):
            return ""
        if len(self.names) >= 10_000:  # noqa: PLR2004 - a job that invents names must not fill our memory
            self.names.clear()
        self.names[name] = start = f'{{"name":{json.dumps(name)},"value":'
        return start

    def _complete(self) -> list[str]:
        """End the current row: wandb copies the last step metric into rows that lack it."""
        row, self.row = self.row, {}
        if not self.definitions or not row:
            return []
        for name in self.latest:
            if row.get(name):
                self.latest[name] = row[name]
        copies: dict[str, str] = {}
        for name in row:
            said = self._definition_of(name)
            wanted = said.get("step_metric") if said and said.get("step_sync") else None
            if wanted and wanted not in row and self.latest.get(wanted):
                copies[wanted] = self.latest[wanted]
        return self._points(copies.items())

    def _definition_of(self, name: str) -> Optional[dict[str, Any]]:
        said = self.definitions.get(name)
        if said is not None or name.startswith("_"):
            return said
        for glob, meant in self.definitions.items():
            if glob.endswith("*") and name.startswith(glob[:-1]):
                return meant
        return None

    def _define(self, payload: bytes, first: str) -> dict[str, Any]:
        found = _protobuf.table(payload)
        name = _text(found, 1) or _text(found, 2)
        options = _protobuf.table(_bytes(found, _METRIC_OPTIONS))
        said: dict[str, Any] = {}
        if not _flag(_protobuf.table(_bytes(found, _METRIC_CONTROL)), 1):
            said.update(self.definitions.get(name, {}))
        step_metric = _text(found, 4)
        if step_metric:
            said["step_metric"] = step_metric
            self.latest.setdefault(step_metric, first)
        if _flag(options, 1):
            said["step_sync"] = True
        if _flag(options, 2):
            said["hidden"] = True
        goal = _GOALS.get(int(found.get(_METRIC_GOAL, [0])[-1]))
        if goal:
            said["goal"] = goal
        if name:
            self.definitions[name] = said
        return definition(name, said)

    def _configure(self, changes: dict[str, Any]) -> dict[str, Any]:
        self.config = json.loads(json.dumps(self.config))
        for path, value in changes["update"]:
            _put(self.config, path, value)
        for name in changes["remove"]:
            self.config.pop(name, None)
        return self.config


def definition(name: str, said: dict[str, Any]) -> dict[str, Any]:
    """Return what define_metric said of a name, as the protocol has it."""
    return {"name": name, **{k: v for k, v in said.items() if k != "step_sync"}}


def _put(into: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        inner = into.get(part)
        if not isinstance(inner, dict):
            inner = into[part] = {}
        into = inner
    if path:
        into[path[-1]] = value


def _exit_facts(payload: bytes) -> dict[str, Any]:
    said = json.loads(payload)
    code = said["exit_code"]
    state = "failed" if code else "finished"
    return {"state": state, "exit_code": code, "ended_at": said["at"]}


def _text(found: dict[int, list[_protobuf.Value]], number: int) -> str:
    return _protobuf.text(found[number][-1]) if number in found else ""


def _bytes(found: dict[int, list[_protobuf.Value]], number: int) -> bytes:
    value = found.get(number, [b""])[-1]
    return value if isinstance(value, bytes) else b""


def _flag(found: dict[int, list[_protobuf.Value]], number: int) -> bool:
    return bool(found.get(number, [0])[-1])
