"""The reader's view of a server: workloads, metrics, curves, points."""

import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Self, overload

from primus_lens.client import live
from primus_lens.client import points as streamed_points
from primus_lens.client.connection import (
    DEFAULT_URL,
    Connection,
    LensApiError,
    Parameters,
    workload_path,
)
from primus_lens.client.files import Format, Layout, PointsFile
from primus_lens.client.frames import Columns, as_frame, columns
from primus_lens.client.live import LiveEvent
from primus_lens.client.points import Point

Axis = Literal["step", "time"]

_PAGE = 1_000


class Client:
    """Reads from one server.

    url: of the server, without /api/v1. token: where the server asks for one, with the scope read.
    timeout_s: how long the server may be silent. Every method raises LensApiError with the
    server's sentence. One thread at a time; usable in a with statement.
    """

    def __init__(
        self, url: str = DEFAULT_URL, token: str | None = None, timeout_s: float = 30
    ) -> None:
        self.connection = Connection(url, token, timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the sockets back."""
        self.connection.close()

    def workloads(self, q: str = "", *, state: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Every workload as it stands, the most recently heard first.

        q: text sought in workload, run name, project and framework. state: only these.
        """
        asked: list[tuple[str, str | int | float]] = [("state", each) for each in state]
        # An order that reports do not change: no workload is missed between two pages.
        asked += [("q", q), ("limit", _PAGE), ("sort", "first_seen")]
        found: list[dict[str, Any]] = []
        place = ""
        while True:
            page = self.connection.get("/workloads", [*asked, ("after", place)])
            found += page["workloads"]
            place = page.get("next")
            if not place:
                return sorted(found, key=lambda row: row["last_seen"], reverse=True)

    def workload(self, uid: str) -> dict[str, Any]:
        """One workload: its runs, its framework with the evidence, its metrics."""
        document: dict[str, Any] = self.connection.get(workload_path(uid))
        return document

    def metrics(self, uid: str) -> list[str]:
        """The names of a workload's metrics."""
        return list(self.counts(uid))

    def counts(self, uid: str) -> dict[str, int]:
        """How many points each metric of a workload has."""
        found = self.connection.get(workload_path(uid, "/metrics/available"))["metrics"]
        return {each["name"]: each["count"] for each in found}

    @overload
    def curve(
        self,
        uid: str,
        *names: str,
        x: Axis = "step",
        max_points: int | None = None,
        frame: None = None,
        between: tuple[float, float] | None = None,
    ) -> Columns: ...

    @overload
    def curve(
        self,
        uid: str,
        *names: str,
        x: Axis = "step",
        max_points: int | None = None,
        frame: Literal["pandas", "polars"],
        between: tuple[float, float] | None = None,
    ) -> Any: ...  # noqa: ANN401 - a DataFrame of a library that need not be there

    def curve(
        self,
        uid: str,
        *names: str,
        x: Axis = "step",
        max_points: int | None = None,
        frame: Literal["pandas", "polars"] | None = None,
        between: tuple[float, float] | None = None,
    ) -> Any:
        """Curves of all of a workload's runs as one long table, a row a point.

        names: metrics; all without any. x: what the points are ordered and thinned over.
        max_points: thin each curve to about so many points, never losing an extreme. frame:
        "pandas" or "polars" for a DataFrame, None for lists by column. between: only this part of
        the axis, both ends included: steps, or Unix seconds with x="time".
        Columns: workload_uid, run_id, serial, data_source, metric, step, time (Unix seconds),
        value (float64: NaN and infinities stay, integers beyond 2^53 are rounded; `points` has
        all their digits). Raises ImportError when the library of `frame` is not installed.
        """
        asked: list[tuple[str, str | int | float]] = [("metric", name) for name in names]
        asked += [("format", "columns"), ("x", x)]
        if max_points is not None:
            asked.append(("max_points", max_points))
        if between is not None:
            scale = 1000 if x == "time" else 1
            asked += [("from_x", between[0] * scale), ("to_x", between[1] * scale)]
        answer = self.connection.get(workload_path(uid, "/metrics/data"), asked)
        return as_frame(columns(uid, answer["series"]), frame)

    def series(
        self, uids: Sequence[str], *names: str, x: str = "step", max_points: int | None = None
    ) -> list[dict[str, Any]]:
        """Curves of some workloads as the server tells them, a series a workload, run and source.

        x: "step", "time" or the name of a metric, whose values are then under `x`.
        """
        asked: list[tuple[str, str | int | float]] = [("workload", uid) for uid in uids]
        asked += [("metric", name) for name in names]
        asked.append(("x", x))
        if max_points is not None:
            asked.append(("max_points", max_points))
        found: list[dict[str, Any]] = self.connection.get("/metrics/data", asked)["series"]
        for each in found:
            each["value"] = [streamed_points.number(value) for value in each["value"]]
        return found

    @contextmanager
    def file(
        self, uid: str, *names: str, form: Format = "csv", layout: Layout = "long"
    ) -> Iterator[PointsFile]:
        """Every point of a workload as one file, its bytes as they come, in bounded memory.

        names: metrics; all without any. layout: a row a point, or wide, a row a step.
        """
        asked: list[tuple[str, str | int | float]] = [("metric", name) for name in names]
        asked += [("format", form), ("layout", layout)]
        with self.connection.stream(workload_path(uid, "/metrics/data"), asked) as answer:
            total = answer.headers.get("x-total-points")
            yield PointsFile(form, None if total is None else int(total), answer.iter_bytes())

    def curve_since(self, uid: str, *names: str, since: float) -> tuple[Columns, str]:
        """What `curve` gives from a time on, and the place from which `live` goes on.

        since: Unix seconds, included.
        """
        asked: list[tuple[str, str | int | float]] = [("metric", name) for name in names]
        asked += [("format", "columns"), ("x", "time"), ("start", round(since * 1000))]
        answer = self.connection.get(workload_path(uid, "/metrics/data"), asked)
        return columns(uid, answer["series"]), answer["cursor"]

    def live(self, uid: str, *names: str, place: str = "") -> Iterator[LiveEvent]:
        """What is new of a workload as it is stored, each point once, until the server stops.

        names: metrics; all without any. place: of an event, or what `curve_since` gave; now without
        one. Raises LensApiError when the connection is cut: go on from the last event's place.
        """
        asked: list[tuple[str, str | int | float]] = [("metric", name) for name in names]
        if place:
            asked.append(("after", place))
        with self.connection.stream(workload_path(uid, "/live"), asked) as answer:
            yield from live.events(answer.iter_lines())

    def points(
        self,
        uid: str,
        *names: str,
        data_source: str = "",
        start: float | None = None,
        end: float | None = None,
    ) -> Iterator[Point]:
        """The points of a workload as they were logged, in order of time, in bounded memory.

        names: metrics; all without any. data_source: only this one. start, end: Unix seconds, both
        included. An int keeps all its digits.
        """
        asked: list[tuple[str, str | int | float]] = [("metric", name) for name in names]
        bounds: Mapping[str, float | None] = {"start": start, "end": end}
        asked += [
            (name, round(bound * 1000)) for name, bound in bounds.items() if bound is not None
        ]
        if data_source:
            asked.append(("data_source", data_source))
        return self._points(workload_path(uid, "/metrics/data"), asked)

    def _points(self, path: str, asked: Parameters) -> Iterator[Point]:
        with self.connection.stream(path, asked) as answer:
            try:
                yield from streamed_points.streamed(answer.iter_text())
            except EOFError as error:
                raise LensApiError(f"{self.connection.url} broke off") from error
