"""One look after another at the runs that sent something, in bounded pieces.

Reads the rows that came since the last look, has them judged, writes down what was found and, now
and then, what it remembers. Whatever happens between two transactions, the rows since the last
memory are judged again and give the same findings. Called by assembly's loop in the processor.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Mapping, Sequence

import asyncpg
import msgspec

from primus_lens.model.alerts import Finding, Kind, WatchedRun
from primus_lens.settings import Thresholds, WatchSettings
from primus_lens.store import watch as stored
from primus_lens.store.watch import RunAsked, StoredRow
from primus_lens.watch import limits
from primus_lens.watch.judge import RunJudge, RunState
from primus_lens.watch.rows import judged_row

log = logging.getLogger(__name__)

RECENT_S = 86_400.0  # a run that was silent for longer is not looked at; nor are imported old ones
_RUNS_AT_ONCE = 20  # read by one statement and judged in one go
_ROWS_AT_ONCE = 1_000  # of a run: twenty of them take some 300 ms in a worker thread
_ROWS_A_SWEEP = 50_000
_FIRST_ROWS = 5_000  # of a run that is met in its middle
_REWOUND_ROWS = 10_000  # in which the beginning of a new attempt is sought
_SAVE_EVERY_S = 60.0  # so much is judged again after a restart
_SETTLED_S = 2.0  # a row this old has its metrics together, even if none follows
_ENDED = frozenset({"finished", "failed", "crashed"})


class Swept(msgspec.Struct, frozen=True):
    """What a look came to. opened: alerts by kind. behind: runs with rows that are not judged."""

    runs: int
    rows: int
    changed: int
    opened: Mapping[Kind, int]
    behind: int


class _Watched(msgspec.Struct):
    """A run in memory. received_at: of the newest point judged. judge: None once it has ended.

    pending: there may be rows to judge although nothing new came.
    """

    thresholds: str
    judge: RunJudge | None = None
    received_at: float = 0.0
    pending: bool = False
    dirty: bool = False
    saved_at: float = 0.0
    state: str = ""


class Sweep:
    """The watch over one database. since: when it began to listen, Unix seconds.

    Silence counts from then on: after a start nothing has come yet, for no fault of the runs.
    """

    def __init__(
        self, connection: asyncpg.Connection, settings: WatchSettings, *, since: float
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._since = since
        self._watched: dict[WatchedRun, _Watched] = {}

    async def look(self, *, now: float) -> Swept:
        """Judge what came. now: Unix seconds."""
        asked = await stored.runs_to_watch(
            self._connection, heard_since=now - RECENT_S, pointed_since=now - RECENT_S
        )
        self._forget({each.run for each in asked})
        await self._remember([each for each in asked if self._is_new(each)], now)
        queue = deque(each for each in asked if self._may_have_rows(each))
        found: dict[WatchedRun, dict[object, Finding]] = {}
        judged = 0
        while queue and judged < _ROWS_A_SWEEP:
            group = [queue.popleft() for _ in range(min(_RUNS_AT_ONCE, len(queue)))]
            for each, rows, findings in await self._judge(group, now):
                judged += rows
                _gather(found, each.run, findings)
                if rows == _ROWS_AT_ONCE:
                    queue.append(each)
        for each in queue:
            self._watched[each.run].pending = True
        for each in asked:
            _gather(found, each.run, self._silence(each, now))
        opened = await self._write(found, now)
        changed = sum(map(len, found.values()))
        return Swept(len(asked), judged, changed, opened, len(queue))

    def _is_new(self, asked: RunAsked) -> bool:
        watched = self._watched.get(asked.run)
        return watched is None or (
            watched.judge is None and (watched.received_at, watched.state) != _stand(asked)
        )

    def _may_have_rows(self, asked: RunAsked) -> bool:
        watched = self._watched[asked.run]
        if watched.judge is None:
            return False
        if watched.thresholds != asked.thresholds:
            watched.judge.limits = self._limits(asked)
            watched.thresholds = asked.thresholds
        return watched.pending or asked.received_at > watched.received_at

    def _limits(self, asked: RunAsked) -> Thresholds:
        own = msgspec.json.decode(asked.thresholds) if asked.thresholds else {}
        return limits.with_own(self._settings, own)

    async def _remember(self, asked: Sequence[RunAsked], now: float) -> None:
        """Take runs up as they were left, or at their newest rows."""
        for group in (asked[i : i + 500] for i in range(0, len(asked), 500)):
            states = await stored.states(self._connection, [each.run for each in group])
            for each in group:
                content = states.get(each.run)
                state = RunState.decoded(content) if content else None
                if state is None:
                    start = await stored.start_of_watch(
                        self._connection, each.run, rows=_FIRST_ROWS
                    )
                    state = RunState(last_step=start)
                self._watched[each.run] = _Watched(
                    each.thresholds, RunJudge(self._limits(each), state), saved_at=now
                )

    async def _judge(
        self, group: Sequence[RunAsked], now: float
    ) -> list[tuple[RunAsked, int, list[Finding]]]:
        """What the next rows of some runs come to: how many were judged, and the findings."""
        judges = {each.run: self._judge_of(each) for each in group}
        for each in group:
            if each.last_step < judges[each.run].state.last_step:
                await self._rewind(each, judges[each.run])
        found = await stored.rows_to_judge(
            self._connection,
            [(each.run, judges[each.run].state.last_step, each.last_step) for each in group],
            most=_ROWS_AT_ONCE,
        )
        work = []
        for each, rows in zip(group, found, strict=True):
            watched = self._watched[each.run]
            full = len(rows) == _ROWS_AT_ONCE
            # The newest row may still get metrics.
            unsettled = bool(rows) and not full and each.received_at > now - _SETTLED_S
            watched.pending = full or unsettled
            watched.received_at = each.received_at
            watched.dirty = watched.dirty or bool(rows)
            work.append((each, rows[:-1] if unsettled else rows))
        return await asyncio.to_thread(self._judged, work)

    def _judged(
        self, work: Sequence[tuple[RunAsked, Sequence[StoredRow]]]
    ) -> list[tuple[RunAsked, int, list[Finding]]]:
        """20 us a row of ten metrics: in a worker thread."""
        done = []
        for each, rows in work:
            judge = self._judge_of(each)
            findings: list[Finding] = []
            try:
                for row in rows:
                    findings += judge.feed(judged_row(row), began_at=each.began_at)
            except Exception:  # our bug with one run must not end the watch over the others
                log.exception("a run could not be judged", extra={"workload": each.run})
                self._watched[each.run].judge = None
            done.append((each, len(rows), findings))
        return done

    def _judge_of(self, asked: RunAsked) -> RunJudge:
        judge = self._watched[asked.run].judge
        if judge is None:  # only runs with one are in a group
            raise AssertionError(asked.run)
        return judge

    async def _rewind(self, asked: RunAsked, judge: RunJudge) -> None:
        """A new attempt writes steps that were judged: judge them again from its first one on."""
        step = await stored.rewound_to(
            self._connection,
            asked.run,
            up_to=asked.last_step,
            since=judge.state.stall.last_at,
            most=_REWOUND_ROWS,
        )
        judge.rewind(asked.last_step if step is None else step)

    def _silence(self, asked: RunAsked, now: float) -> list[Finding]:
        """What is to say of a run without new rows."""
        watched = self._watched[asked.run]
        if watched.judge is None or watched.pending:
            return []
        watched.state = asked.state
        if asked.state in _ENDED:
            return list(watched.judge.end(now))
        if asked.state != "running":  # it would not say when it ends, so its silence says nothing
            return []
        return list(watched.judge.look(now - max(asked.received_at, self._since)))

    async def _write(
        self, found: Mapping[WatchedRun, Mapping[object, Finding]], now: float
    ) -> dict[Kind, int]:
        """Write findings with what is remembered of their runs, and of those not saved lately."""
        done = [
            run
            for run, watched in self._watched.items()
            if watched.judge is not None and watched.state in _ENDED and not watched.pending
        ]
        due = {
            run
            for run, watched in self._watched.items()
            if run in found or (watched.dirty and now - watched.saved_at >= _SAVE_EVERY_S)
        }
        opened = await self._save(
            due | {run for run in done if self._watched[run].dirty}, found, now
        )
        for run in done:
            self._watched[run].judge = None
        return opened

    async def _save(
        self,
        runs: Collection[WatchedRun],
        found: Mapping[WatchedRun, Mapping[object, Finding]],
        now: float,
    ) -> dict[Kind, int]:
        states = {
            run: watched.judge.state.encoded()
            for run, watched in ((run, self._watched[run]) for run in runs)
            if watched.judge is not None
        }
        opened: dict[Kind, int] = {}
        if not states and not found:
            return opened
        async with self._connection.transaction():
            if found:
                newest = {run: list(each.values()) for run, each in found.items()}
                opened = await stored.note_alerts(self._connection, newest, now=now)
            if states:
                await stored.save_states(self._connection, states, now=now)
        for run in states:
            self._watched[run].dirty, self._watched[run].saved_at = False, now
        return opened

    def _forget(self, asked: set[WatchedRun]) -> None:
        """Let go of runs that are silent for long, and so were saved, or were deleted."""
        for run in [run for run in self._watched if run not in asked]:
            del self._watched[run]


def _stand(asked: RunAsked) -> tuple[float, str]:
    return asked.received_at, asked.state


def _gather(
    found: dict[WatchedRun, dict[object, Finding]], run: WatchedRun, findings: Sequence[Finding]
) -> None:
    """Of one trouble, the newest finding counts."""
    if findings:
        found.setdefault(run, {}).update({each.key: each for each in findings})
