"""A curve drawn in characters. Pure. Comes before cli_read."""

import math
from collections.abc import Sequence

HEIGHT = 12
_LEVELS = "▁▂▃▄▅▆▇█"
_FULL, _EMPTY = "█", " "


def drawing(xs: Sequence[float], values: Sequence[float], *, width: int) -> list[str]:
    """Lines of a plot `width` columns wide, HEIGHT high, with the range of values at its left.

    A column covers the span from the lowest to the highest value in it, so no spike is lost.
    Values that are not finite leave their column empty. No lines where no value is finite.
    """
    points = [(x, value) for x, value in zip(xs, values, strict=True) if math.isfinite(value)]
    if not points:
        return []
    low, high = min(value for _, value in points), max(value for _, value in points)
    spans = _spans(points, width)
    rows = [(_row(bottom, low, high), _row(top, low, high)) for bottom, top in spans.values()]
    filled = dict(zip(spans, rows, strict=True))
    labels = {HEIGHT - 1: f"{high:.6g}", 0: f"{low:.6g}"}
    margin = max(map(len, labels.values()))
    return [
        f"{labels.get(row, ''):>{margin}} ┤"
        + "".join(
            _FULL if column in filled and filled[column][0] <= row <= filled[column][1] else _EMPTY
            for column in range(width)
        ).rstrip()
        for row in reversed(range(HEIGHT))
    ]


def sparkline(values: Sequence[float | None]) -> str:
    """A small curve in one line, a character a value, blank where there is none."""
    present = [value for value in values if value is not None and math.isfinite(value)]
    if not present:
        return ""
    low, high = min(present), max(present)
    return "".join(
        " "
        if value is None or not math.isfinite(value)
        else _LEVELS[_row(value, low, high, height=len(_LEVELS))]
        for value in values
    )


def _spans(points: Sequence[tuple[float, float]], width: int) -> dict[int, tuple[float, float]]:
    """Lowest and highest value of each column that has one."""
    first, last = points[0][0], points[-1][0]
    spans: dict[int, tuple[float, float]] = {}
    for x, value in points:
        share = (x - first) / (last - first) if last > first else 0.0
        column = min(width - 1, int(share * width))
        bottom, top = spans.get(column, (value, value))
        spans[column] = (min(bottom, value), max(top, value))
    return spans


def _row(value: float, low: float, high: float, *, height: int = HEIGHT) -> int:
    if high == low:
        return height // 2
    share = value / 2 - low / 2  # halved: the range of all float64 is no float64
    return round(share / (high / 2 - low / 2) * (height - 1))
