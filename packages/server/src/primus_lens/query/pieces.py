"""Every point of some workloads, piece by piece: each fits in memory, however much there is.

Comes after routes/points; reads through store/chunk_read, one piece a snapshot and a connection, so
that a slow reader holds neither. query/tables makes rows of the pieces.
"""

import itertools
from collections.abc import AsyncIterator, Iterator, Sequence

import msgspec
import numpy as np

from primus_lens.model import naming
from primus_lens.store import chunk_read, points_read
from primus_lens.store.chunk_read import Series
from primus_lens.store.database import Database
from primus_lens.store.points_read import LAST_STEP, Part, Span

POINTS_AT_ONCE = 200_000  # about 5 MB as arrays, 20 MB of CSV
_FIRST_ROUNDED = 2.0**53  # from here on float64 has no room for every integer


class Piece(msgspec.Struct, frozen=True):
    """Some steps of one source of one run.

    series: by metric. exact: integers that float64 rounds, by metric and step, as they were logged.
    """

    workload_uid: str
    run_id: str
    serial: int
    data_source: str
    series: Sequence[Series]
    exact: dict[str, dict[int, int]]


async def pieces(
    database: Database, span: Span, names: Sequence[str], *, at_once: int = POINTS_AT_ONCE
) -> AsyncIterator[Piece]:
    """The asked metrics by source, run and steps, about at_once points a piece."""
    async with database.connection() as connection:
        cuts = await points_read.cuts(connection, span)
    steps = max(1, at_once // max(1, len(names)))
    for (source, serial, run_id), of_run in itertools.groupby(
        cuts, key=lambda cut: (cut.data_source, cut.serial, cut.run_id)
    ):
        for first, last in _windows(list(of_run), steps):
            part = Part(source, serial, first, last)
            series, exact = await _read(database, span, names, part)
            if series:
                yield Piece(span.workload_uid, run_id, serial, source, series, exact)


def _windows(cuts: Sequence[points_read.Cut], most: int) -> Iterator[tuple[int, int]]:
    """Ranges of steps that follow one another, each with at most about so many that are stored."""
    first = held = 0
    for cut in cuts:
        if cut.last_step is None:
            yield first, LAST_STEP
        elif held + cut.steps >= most:
            yield first, cut.last_step
            first, held = cut.last_step + 1, 0
        else:
            held += cut.steps


async def _read(
    database: Database, span: Span, names: Sequence[str], part: Part
) -> tuple[list[Series], dict[str, dict[int, int]]]:
    first = part.first_step if span.from_step is None else max(part.first_step, span.from_step)
    last = part.last_step if span.to_step is None else min(part.last_step, span.to_step)
    if first > last:
        return [], {}
    window = msgspec.structs.replace(
        span,
        data_source=part.data_source,
        runs=(str(part.serial),),
        from_step=first,
        to_step=last,
    )
    async with database.connection() as connection:
        found = (await chunk_read.series(connection, window, names)).unpacked()
        # A run may be named like another's serial.
        series = [each for each in found if each.serial == part.serial]
        exact = {}
        for each in series:
            large = np.isfinite(each.values) & (np.abs(each.values) >= _FIRST_ROUNDED)
            if large.any():
                texts = await points_read.exact(
                    connection,
                    span.workload_uid,
                    part,
                    naming.stored_name(each.metric),
                    each.steps[large].tolist(),
                )
                exact[each.metric] = {
                    step: int(text) for step, text in texts.items() if text.lstrip("-").isdigit()
                }
    return series, exact
