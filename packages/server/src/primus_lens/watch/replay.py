"""What the watch would have said of a workload's history, to choose its thresholds by."""

from typing import Literal

import asyncpg
import msgspec

from primus_lens.model.alerts import Finding, WatchedRun
from primus_lens.settings import Thresholds
from primus_lens.store import watch as stored
from primus_lens.watch.judge import RunJudge
from primus_lens.watch.rows import judged_row

What = Literal["opened", "closed", "passed"]


class Replayed(msgspec.Struct, frozen=True):
    """One thing that would have been said. step, at: of the row that made it be said."""

    run: WatchedRun
    run_id: str
    what: What
    step: int
    at: float
    finding: Finding


class Replay(msgspec.Struct, frozen=True):
    """said: in order. newest: every trouble as it stood in the end."""

    rows: int
    said: list[Replayed]
    newest: dict[WatchedRun, list[Finding]]


async def replay(connection: asyncpg.Connection, workload_uid: str, limits: Thresholds) -> Replay:
    """Judge all rows of a workload as if they came now."""
    rows, said, newest = 0, [], {}
    for run, run_id, began_at in await stored.runs_to_replay(connection, workload_uid):
        judge, known = RunJudge(limits), dict[object, Finding]()
        async for piece in stored.all_rows(connection, run):
            rows += len(piece)
            for row in piece:
                for found in judge.feed(judged_row(row), began_at=began_at):
                    what = _news(known.get(found.key), found)
                    if what is not None:
                        said.append(Replayed(run, run_id, what, row.step, row.at, found))
                    known[found.key] = found
        newest[run] = list(known.values())
    return Replay(rows, said, newest)


def _news(before: Finding | None, found: Finding) -> What | None:
    if found.passing:
        return "passed"
    if before is not None and before.state == found.state:
        return None
    return "opened" if found.state == "open" else "closed"
