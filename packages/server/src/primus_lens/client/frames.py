"""Curves as one long table: a row a point, as plain columns, pandas or polars."""

import importlib
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypedDict

from primus_lens.client.points import number


class Columns(TypedDict):
    """Lists of equal length, a place in them a point.

    serial: the run's number within its workload, from 1. time: Unix seconds. value: float64, NaN
    and infinities included.
    """

    workload_uid: list[str]
    run_id: list[str]
    serial: list[int]
    data_source: list[str]
    metric: list[str]
    step: list[int]
    time: list[float]
    value: list[float]


def columns(workload_uid: str, series: Iterable[Mapping[str, Any]]) -> Columns:
    """The series of a `format=columns` answer, one below the other."""
    table = Columns(
        workload_uid=[],
        run_id=[],
        serial=[],
        data_source=[],
        metric=[],
        step=[],
        time=[],
        value=[],
    )
    for each in series:
        count = len(each["step"])
        table["workload_uid"] += [workload_uid] * count
        table["run_id"] += [each["run_id"]] * count
        table["serial"] += [each["serial"]] * count
        table["data_source"] += [each["data_source"]] * count
        table["metric"] += [each["metric"]] * count
        table["step"] += each["step"]
        table["time"] += [at / 1000 for at in each["time"]]
        table["value"] += [float(number(value)) for value in each["value"]]
    return table


def as_frame(table: Columns, frame: Literal["pandas", "polars"] | None) -> Any:  # noqa: ANN401
    """The table as a DataFrame of a library, or as it is. Raises ImportError without the library.

    Integer columns are int64 and numbers float64 even where there is no row.
    """
    if frame is None:
        return table
    if frame == "polars":
        polars = library("polars")
        types = {"serial": polars.Int64, "step": polars.Int64}
        types |= dict.fromkeys(("time", "value"), polars.Float64)
        return polars.DataFrame(
            table,
            schema={name: types.get(name, polars.String) for name in table},
            nan_to_null=False,
        )
    if frame == "pandas":
        types = {"serial": "int64", "step": "int64", "time": "float64", "value": "float64"}
        return library("pandas").DataFrame(table).astype(types)
    raise ValueError(f'frame is {frame!r}; it must be "pandas", "polars" or None')


def library(name: str) -> Any:  # noqa: ANN401 - a module
    """An optional library, imported when needed. Raises ImportError that says how to get it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"{name} is not installed; pip install 'primus-lens[{name.partition('.')[0]}]'",
            name=name,
        ) from error
