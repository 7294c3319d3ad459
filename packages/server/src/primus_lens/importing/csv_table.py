"""The runs in one CSV file: wide (a column a metric) or long (a row a point).

Between the file and batches. Columns are recognised by the names that trainers, TensorBoard and
`primus-lens export` give them, in any case of letters, unless the caller names them. An empty cell
is no point; text is no number.
"""

import csv
import datetime as dt
import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

import msgspec

from primus_lens.importing.records import (
    Account,
    ImportFailed,
    Point,
    Record,
    is_number,
    json_float,
    json_number,
)

STEP_NAMES = ("step", "_step", "global_step", "iteration", "epoch")
TIME_NAMES = ("time", "timestamp", "_timestamp", "wall_time", "wall time")
NAME_NAMES = ("metric", "metric_name", "name", "tag")
_VALUE_NAME = "value"
_RUN_NAME = "run_id"
_OF_AN_EXPORT = {"workload_uid", "serial", "data_source"}  # whose times are Unix milliseconds
_NOT_METRICS = {"_runtime", *_OF_AN_EXPORT}
_LEAST_MILLISECONDS = 1e11  # as seconds the year 5138, as milliseconds 1973
_WORDS = {"nan": "NaN", "inf": "Infinity", "infinity": "Infinity"}
_WHOLE = re.compile(r"[-+]?\d+(?:\.0*)?").fullmatch


class Columns(NamedTuple):
    """Which column is which. name, value: of a long table, else None. metrics: of a wide one.

    milliseconds: the table is our own export, so no time needs to be guessed.
    """

    step: str
    time: str | None
    name: str | None
    value: str
    run: str | None
    metrics: list[str]
    milliseconds: bool


class CsvTable:
    """Reads one run of one CSV file.

    only: of a file with a run_id column, the run to read. columns: from `columns_of`.
    """

    data_source = "csv"

    def __init__(
        self, path: Path, columns: Columns, *, run_id: str, only: str | None, digest: bytes
    ) -> None:
        self.path = path
        self.run_id = run_id
        self.identity = digest + repr(columns).encode()
        self.account = Account(size_bytes=path.stat().st_size)
        self.account.facts["name"] = run_id
        self._columns = columns
        self._only = only
        self._written_at = path.stat().st_mtime

    def records(self) -> Iterator[Record]:
        """Read the file from its start. A row without a step is refused, and counted."""
        with _opened(self.path) as file:
            width = max(len(self._columns.metrics), 1)
            for number, row in enumerate(_rows(self.path, _followed(file, self.account))):
                points: list[Point] = []
                if self._only is None or row[self._columns.run or ""] == self._only:
                    points = self._points(row)
                yield Record(number * width + 1, (number + 1) * width, points)

    def _points(self, row: dict[str, str | None]) -> list[Point]:
        columns = self._columns
        pairs = [(name, row.get(name)) for name in columns.metrics]
        if columns.name is not None:
            pairs = [(row.get(columns.name) or "", row.get(columns.value))]
        numbers = [(name, value) for name, cell in pairs if (value := _number(cell)) is not None]
        step = _step(row.get(columns.step))
        if step is None:
            self.account.refused += len(numbers)
            return []
        at = _time(row.get(columns.time), columns.milliseconds) if columns.time else None
        at = self._written_at if at is None else at
        facts = self.account.facts
        facts["started_at"] = min(at, facts.get("started_at", at))
        facts["ended_at"] = max(at, facts.get("ended_at", at))
        made = [self.account.point(name, value, step, at) for name, value in numbers]
        return [point for point in made if point]


def tables(
    path: Path, *, run_id: str, step: str | None = None, time: str | None = None
) -> list[CsvTable]:
    """The runs of a CSV file. run_id: for a file that names none. step, time: columns, if given.

    Raises ImportFailed when there is no step column, or nothing beside it.
    """
    with path.open("rb") as raw:
        digest = hashlib.file_digest(raw, "sha256").digest()
    with _opened(path) as file:
        columns = _columns_of(path, csv.DictReader(file).fieldnames or [], step, time)
    if columns.run is None:
        return [CsvTable(path, columns, run_id=run_id, only=None, digest=digest)]
    with _opened(path) as file:
        runs = dict.fromkeys(row[columns.run] or "" for row in _rows(path, file))
    return [CsvTable(path, columns, run_id=run, only=run, digest=digest) for run in runs]


def _columns_of(path: Path, header: Iterable[str], step: str | None, time: str | None) -> Columns:
    names = list(header)
    for given in (step, time):
        if given is not None and given not in names:
            raise ImportFailed(f'{path} has no column "{given}"; it has: {", ".join(names)}')
    step = step or _first(names, STEP_NAMES)
    if step is None:
        raise ImportFailed(
            f"{path} has no column that is called {', '.join(STEP_NAMES)}; "
            f"name one with --step-column. It has: {', '.join(names)}"
        )
    time = time or _first(names, TIME_NAMES)
    milliseconds = set(names) >= _OF_AN_EXPORT
    run, value = _first(names, [_RUN_NAME]), _first(names, [_VALUE_NAME])
    name = _first(names, NAME_NAMES) if value else None
    if name is not None and value is not None:
        return Columns(step, time, name, value, run, [], milliseconds)
    taken = {step, time, run}
    metrics = [n for n in names if n not in taken and n not in _NOT_METRICS]
    if not metrics:
        raise ImportFailed(f"{path} has no column of values beside {step}")
    return Columns(step, time, None, "", run, metrics, milliseconds)


def _first(names: list[str], known: Iterable[str]) -> str | None:
    lowered = {name.strip().lower(): name for name in reversed(names)}
    return next((lowered[each] for each in known if each in lowered), None)


def _opened(path: Path) -> TextIO:
    return path.open(encoding="utf-8-sig", errors="replace", newline="")


def _rows(path: Path, lines: Iterable[str]) -> Iterator[dict[str, str | None]]:
    try:
        yield from csv.DictReader(lines)
    except csv.Error as error:
        raise ImportFailed(f"{path} is no CSV that can be read: {error}") from error


def _followed(lines: Iterable[str], account: Account) -> Iterator[str]:
    """The lines, with the account told how far the file was read, in characters."""
    account.position = 0
    for line in lines:
        account.position += len(line)
        yield line


def _number(cell: str | None) -> msgspec.Raw | None:
    """A cell as JSON, digits untouched where JSON writes numbers so; None for anything else."""
    text = (cell or "").strip()
    if not text:
        return None
    exact = json_number(text)
    if exact is not None or is_number(text):
        return exact
    word = _WORDS.get(text.lstrip("+-").lower())
    if word:
        return json_number(f"-{word}" if text.startswith("-") and word != "NaN" else word)
    try:
        return None if "_" in text else json_float(float(text))  # .5, 5., +1
    except ValueError:
        return None


def _step(cell: str | None) -> int | None:
    """A step, also where a library wrote it as 3.0; None for anything else."""
    text = (cell or "").strip()
    return int(text.partition(".")[0]) if _WHOLE(text) else None


def _time(cell: str | None, milliseconds: bool) -> float | None:  # noqa: FBT001 - one of two
    """Unix seconds of seconds, milliseconds or ISO 8601 (UTC where it names no zone)."""
    text = (cell or "").strip()
    try:
        at = float(text)
    except ValueError:
        pass
    else:
        return at / 1000 if milliseconds or abs(at) >= _LEAST_MILLISECONDS else at
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
