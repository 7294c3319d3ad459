"""Numbers as people read them, for the texts of alerts."""

import math


def number(value: float) -> str:
    """Three digits that count."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == int(value) and abs(value) < 1e6:  # noqa: PLR2004 - as long as counting is easy
        return f"{int(value):,}"
    return f"{value:.3g}"


def count(how_many: int, noun: str) -> str:
    """1 point, 2 points."""
    return f"{how_many:,} {noun}" + ("" if how_many == 1 else "s")


def duration(seconds: float) -> str:
    """The largest two units that count."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.3g} s"
    minutes, left = divmod(round(seconds), 60)
    if minutes < 60:  # noqa: PLR2004 - an hour
        return f"{minutes} min" + (f" {left} s" if left and minutes < 10 else "")  # noqa: PLR2004
    hours, minutes = divmod(minutes, 60)
    if hours < 48:  # noqa: PLR2004 - two days
        return f"{hours} h" + (f" {minutes} min" if minutes else "")
    return f"{hours // 24} d {hours % 24} h"
