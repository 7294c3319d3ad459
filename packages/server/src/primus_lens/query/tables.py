"""Pieces of workloads as CSV, as lines of JSON, as Parquet; a row a point or a row a step. Pure.

Comes after query/pieces. An encoder is told the pieces one by one and gives bytes for each;
together they are one file.
"""

import csv
import importlib
import io
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from primus_lens.model import errors
from primus_lens.query import drawing
from primus_lens.query.pieces import Piece
from primus_lens.store.chunk_read import Series

Form = Literal["csv", "ndjson", "parquet"]
Layout = Literal["long", "wide"]
Cell = float | int | str | None

FACTS = ("workload_uid", "run_id", "serial", "data_source")
LONG = (*FACTS, "metric", "step", "time", "value")
WIDE = (*FACTS, "step", "time")
MEDIA = {
    "csv": "text/csv; charset=utf-8",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}

_ESCAPE = "metric:"  # before the name of a metric that is called like a column of ours


class Encoder(Protocol):
    """Makes one file of pieces."""

    def encode(self, piece: Piece) -> bytes:
        """The bytes that a piece adds."""
        ...

    def end(self) -> bytes:
        """The bytes behind the last piece."""
        ...


def encoder(form: Form, layout: Layout, names: Sequence[str]) -> Encoder:
    """The encoder of a form. names: the metrics, columns of their own in the wide layout.

    Raises NotInstalled for Parquet without pyarrow.
    """
    if form == "csv":
        return _Csv(layout, names)
    return _Ndjson(layout) if form == "ndjson" else _Parquet(layout, names)


def column_of(name: str) -> str:
    """The column of a metric in the wide layout."""
    return _ESCAPE + name if name in WIDE or name.startswith(_ESCAPE) else name


def _facts(piece: Piece) -> tuple[Cell, ...]:
    return piece.workload_uid, piece.run_id, piece.serial, piece.data_source


def _values(piece: Piece, series: Series) -> list[Any]:
    """Values as JSON says them, integers with all their digits."""
    values: list[Any] = drawing.spoken(series.values)
    exact = piece.exact.get(series.metric)
    if exact:
        for place, step in enumerate(series.steps.tolist()):
            values[place] = exact.get(step, values[place])
    return values


def _long_rows(piece: Piece) -> Iterator[tuple[Cell, ...]]:
    facts = _facts(piece)
    for series in piece.series:
        columns = series.steps.tolist(), series.times.tolist(), _values(piece, series)
        for point in zip(*columns, strict=True):
            yield (*facts, series.metric, *point)


class _Grid(msgspec.Struct, frozen=True):
    """The steps of a piece, ascending, their times, and where each series has them."""

    steps: NDArray[np.int64]
    times: NDArray[np.int64]
    places: dict[str, NDArray[np.intp]]


def _grid(piece: Piece) -> _Grid:
    """A step's time is the earliest of its points."""
    steps = np.unique(np.concatenate([series.steps for series in piece.series]))
    times = np.full(len(steps), np.iinfo(np.int64).max)
    places = {each.metric: np.searchsorted(steps, each.steps) for each in piece.series}
    for each in piece.series:
        np.minimum.at(times, places[each.metric], each.times)
    return _Grid(steps, times, places)


def _wide_columns(piece: Piece, grid: _Grid) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    for series in piece.series:
        cells: list[Any] = [None] * len(grid.steps)
        values = _values(piece, series)
        for place, value in zip(grid.places[series.metric].tolist(), values, strict=True):
            cells[place] = value
        columns[series.metric] = cells
    return columns


class _Csv:
    """Names in the first line; what is missing is empty, what is not finite a word."""

    def __init__(self, layout: Layout, names: Sequence[str]) -> None:
        self._names = names
        self._rows = _long_rows if layout == "long" else self._wide_rows
        heads = LONG if layout == "long" else (*WIDE, *map(column_of, names))
        self._begin: list[Sequence[Cell]] = [heads]

    def encode(self, piece: Piece) -> bytes:
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows(self._begin)
        self._begin = []
        writer.writerows(self._rows(piece))
        return text.getvalue().encode()

    def end(self) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(self._begin)  # of a file without points
        return text.getvalue().encode()

    def _wide_rows(self, piece: Piece) -> Iterator[Sequence[Cell]]:
        grid, facts = _grid(piece), _facts(piece)
        columns = _wide_columns(piece, grid)
        nothing: list[Any] = [None] * len(grid.steps)
        cells = [columns.get(name, nothing) for name in self._names]
        for row in zip(grid.steps.tolist(), grid.times.tolist(), *cells, strict=True):
            yield (*facts, *row)


class _Ndjson:
    """An object a line; in the wide layout `metrics` holds what the step has."""

    def __init__(self, layout: Layout) -> None:
        self._rows = self._long if layout == "long" else self._wide
        self._encoder = msgspec.json.Encoder()

    def encode(self, piece: Piece) -> bytes:
        return self._encoder.encode_lines(self._rows(piece))

    def end(self) -> bytes:
        return b""

    @staticmethod
    def _long(piece: Piece) -> Iterator[dict[str, Any]]:
        for row in _long_rows(piece):
            yield dict(zip(LONG, row, strict=True))

    @staticmethod
    def _wide(piece: Piece) -> Iterator[dict[str, Any]]:
        grid, facts = _grid(piece), dict(zip(FACTS, _facts(piece), strict=True))
        columns = _wide_columns(piece, grid)
        times = zip(grid.steps.tolist(), grid.times.tolist(), strict=True)
        for place, (step, at) in enumerate(times):
            cells = ((name, of_metric[place]) for name, of_metric in columns.items())
            metrics = {name: cell for name, cell in cells if cell is not None}
            yield {**facts, "step": step, "time": at, "metrics": metrics}


class _Sink(io.RawIOBase):
    """What a Parquet writer writes, until it is taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
        part = bytes(data)
        self._parts.append(part)
        self._written += len(part)
        return len(part)

    def tell(self) -> int:
        return self._written

    def taken(self) -> bytes:
        """What was written since the last call."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


class _Parquet:
    """A row group a piece, zstd; `value` is float64, `time` Unix milliseconds."""

    def __init__(self, layout: Layout, names: Sequence[str]) -> None:
        arrow = _pyarrow()
        self._arrow, self._names, self._layout = arrow, names, layout
        types = {"serial": arrow.int64(), "step": arrow.int64(), "time": arrow.int64()}
        facts = [(name, types.get(name, arrow.string())) for name in WIDE]
        numbers = [(column_of(name), arrow.float64()) for name in names]
        long = [(name, types.get(name, arrow.string())) for name in LONG[:-1]]
        is_long = layout == "long"
        self._schema = arrow.schema(
            [*long, ("value", arrow.float64())] if is_long else [*facts, *numbers]
        )
        self._sink = _Sink()
        self._writer = arrow.parquet.ParquetWriter(self._sink, self._schema, compression="zstd")

    def encode(self, piece: Piece) -> bytes:
        columns = self._long(piece) if self._layout == "long" else self._wide(piece)
        self._writer.write_table(self._arrow.table(columns, schema=self._schema))
        return self._sink.taken()

    def end(self) -> bytes:
        self._writer.close()
        return self._sink.taken()

    def _long(self, piece: Piece) -> dict[str, Any]:
        count = sum(len(series.steps) for series in piece.series)
        columns: dict[str, Any] = self._repeated(piece, count)
        names = [[series.metric] * len(series.steps) for series in piece.series]
        columns["metric"] = [name for part in names for name in part]
        columns["step"] = np.concatenate([series.steps for series in piece.series])
        columns["time"] = np.concatenate([series.times for series in piece.series])
        columns["value"] = np.concatenate([series.values for series in piece.series])
        return columns

    def _wide(self, piece: Piece) -> dict[str, Any]:
        grid = _grid(piece)
        columns: dict[str, Any] = self._repeated(piece, len(grid.steps))
        columns["step"], columns["time"] = grid.steps, grid.times
        by_name = {series.metric: series for series in piece.series}
        for name in self._names:
            cells = np.full(len(grid.steps), np.nan)
            missing = np.ones(len(grid.steps), dtype=bool)
            if name in by_name:
                cells[grid.places[name]] = by_name[name].values
                missing[grid.places[name]] = False
            columns[column_of(name)] = self._arrow.array(cells, mask=missing)
        return columns

    def _repeated(self, piece: Piece, count: int) -> dict[str, Any]:
        facts = zip(FACTS, _facts(piece), strict=True)
        return {name: self._arrow.repeat(fact, count) for name, fact in facts}


def _pyarrow() -> Any:  # noqa: ANN401 - a module without types
    """An optional part: with 175 MB it is larger than all the rest together."""
    try:
        importlib.import_module("pyarrow.parquet")
        return importlib.import_module("pyarrow")
    except ImportError as error:
        raise errors.NotInstalled(
            "this server writes no Parquet: pyarrow is not installed; "
            "pip install 'primus-lens[pyarrow]', or ask for csv or ndjson"
        ) from error
