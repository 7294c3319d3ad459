"""What the watch reads and writes: rows to judge, alerts, what it remembers, what people set."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Literal

import asyncpg
import msgspec

from primus_lens.model.alerts import Alert, Finding, Kind, Silence, WatchedRun
from primus_lens.store import statements

_SQL = statements.load("watch.sql")

_LAST_STEP = 2**63 - 1

AlertFilter = Literal["open", "silenced", "closed", "all"]


class RunAsked(msgspec.Struct, frozen=True):
    """A run that may have something to judge. Times are Unix seconds.

    received_at: when its newest point came, the server's clock. state: what it says of itself, ""
    for nothing. began_at: its newest attempt. thresholds: JSON of what is set for its workload.
    """

    run: WatchedRun
    last_step: int
    received_at: float
    state: str
    began_at: float
    thresholds: str


class StoredRow(msgspec.Struct, frozen=True):
    """A row to judge. at: Unix seconds of the job's clock. document: JSON, under stored names."""

    step: int
    at: float
    document: str


class WatchSetting(msgspec.Struct, frozen=True):
    """What people set for a workload. thresholds: what differs from the server's, by group."""

    silence: Silence = Silence()
    thresholds: Mapping[str, Any] = msgspec.field(default_factory=dict)


async def try_to_watch(connection: asyncpg.Connection) -> bool:
    """Whether this connection is now the one that watches, until it ends."""
    return bool(await connection.fetchval(_SQL["try_to_watch"]))


async def runs_to_watch(
    connection: asyncpg.Connection, *, heard_since: float, pointed_since: float
) -> list[RunAsked]:
    """The runs that were heard lately and whose newest point is recent. Both: Unix seconds."""
    return [
        RunAsked(
            WatchedRun(row["workload_uid"], row["data_source"], row["serial"]),
            row["last_step"],
            row["received_at"],
            row["state"] or "",
            row["began_at"],
            row["thresholds"] or "",
        )
        for row in await connection.fetch(_SQL["runs_to_watch"], heard_since, pointed_since)
    ]


async def runs_to_replay(
    connection: asyncpg.Connection, workload_uid: str
) -> list[tuple[WatchedRun, str, float]]:
    """The runs of a workload with their run_id and when the newest attempt began."""
    rows = await connection.fetch(_SQL["runs_to_replay"], workload_uid)
    return [(WatchedRun(*row[:3]), row["run_id"], row["began_at"]) for row in rows]


async def rows_to_judge(
    connection: asyncpg.Connection, asked: Sequence[tuple[WatchedRun, int, int]], *, most: int
) -> list[list[StoredRow]]:
    """The next rows of runs after a step and up to another, at most so many of each, in order."""
    found: list[list[StoredRow]] = [[] for _ in asked]
    rows = await connection.fetch(
        _SQL["rows_to_judge"],
        list(range(len(asked))),
        *_columns([run for run, _, _ in asked]),
        [after for _, after, _ in asked],
        most,
        [up_to for _, _, up_to in asked],
    )
    for place, step, at, document in rows:
        found[place].append(StoredRow(step, at, document))
    return found


async def all_rows(
    connection: asyncpg.Connection, run: WatchedRun, *, most: int = 5_000
) -> AsyncIterator[list[StoredRow]]:
    """All rows of a run in pieces, in order."""
    after = -1
    while True:
        [rows] = await rows_to_judge(connection, [(run, after, _LAST_STEP)], most=most)
        if not rows:
            return
        yield rows
        after = rows[-1].step


async def start_of_watch(connection: asyncpg.Connection, run: WatchedRun, *, rows: int) -> int:
    """The step after which so many rows of a run are left; -1 for all of them."""
    found = await connection.fetchval(_SQL["start_of_watch"], *_key(run), rows)
    return -1 if found is None else int(found)


async def rewound_to(
    connection: asyncpg.Connection, run: WatchedRun, *, up_to: int, since: float, most: int
) -> int | None:
    """The lowest step that was written anew since a moment of the job's clock."""
    step: int | None = await connection.fetchval(_SQL["rewound_to"], *_key(run), up_to, most, since)
    return step


async def states(
    connection: asyncpg.Connection, runs: Sequence[WatchedRun]
) -> dict[WatchedRun, bytes]:
    """What is remembered of runs."""
    rows = await connection.fetch(_SQL["states"], *_columns(runs))
    return {WatchedRun(*row[:3]): row["state"] for row in rows}


async def save_states(
    connection: asyncpg.Connection, saved: Mapping[WatchedRun, bytes], *, now: float
) -> None:
    """Remember runs as they were judged."""
    runs = sorted(saved)
    await connection.execute(
        _SQL["save_states"], *_columns(runs), [saved[run] for run in runs], now
    )


async def note_alerts(
    connection: asyncpg.Connection,
    found: Mapping[WatchedRun, Sequence[Finding]],
    *,
    now: float,
) -> dict[Kind, int]:
    """Write findings down. Returns how many of each kind were opened by that.

    found: of one trouble, the newest finding alone.
    """
    pairs = [(run, finding) for run in sorted(found) for finding in found[run]]
    rows = await connection.fetch(
        _SQL["note_alerts"],
        *_columns([run for run, _ in pairs]),
        *(
            [getattr(finding, name) for _, finding in pairs]
            for name in ("kind", "metric", "since_step", "since", "last_step", "last_seen")
        ),
        [finding.state == "closed" for _, finding in pairs],
        [finding.passing for _, finding in pairs],
        [finding.text for _, finding in pairs],
        now,
    )
    return {row["kind"]: row["opened"] for row in rows}


class ListedAlert(msgspec.Struct, frozen=True):
    """An alert, and whether it is silenced now."""

    alert: Alert
    silenced: bool


async def alerts(
    connection: asyncpg.Connection,
    *,
    state: AlertFilter,
    workload_uid: str = "",
    kind: str = "",
    now: float,
    limit: int = 1_000,
    offset: int = 0,
) -> tuple[list[ListedAlert], int]:
    """A page of alerts, the newest first, and how many there are."""
    rows = await connection.fetch(_SQL["alerts"], state, workload_uid, kind, now, limit, offset)
    found = [ListedAlert(_alert(row), row["is_silenced"]) for row in rows]
    return found, rows[0]["total"] if rows else 0


async def alerts_of_fleet(
    connection: asyncpg.Connection, only: Sequence[str] | None, *, now: float
) -> dict[str, list[dict[str, Any]]]:
    """By workload, its open alerts as the fleet shows them. only: of these, None for all."""
    rows = await connection.fetch(_SQL["alerts_of_fleet"], only, now)
    return {row["workload_uid"]: msgspec.json.decode(row["alerts"]) for row in rows}


async def alert_counts(
    connection: asyncpg.Connection, *, now: float
) -> dict[Kind, tuple[int, int]]:
    """By kind, how many alerts are open, and how many are silenced."""
    rows = await connection.fetch(_SQL["alert_counts"], now)
    return {row["kind"]: (row["open"], row["silenced"]) for row in rows}


class UntoldAlert(msgspec.Struct, frozen=True):
    """An alert of which the webhook does not know all. opening: whether it knows not even that."""

    alert: Alert
    opening: bool


async def untold(
    connection: asyncpg.Connection, *, now: float, since: float, most: int
) -> list[UntoldAlert]:
    """Alerts to be told, the oldest first. since: those opened before are past telling."""
    rows = await connection.fetch(_SQL["untold"], now, since, most)
    return [UntoldAlert(_alert(row), row["told_opened_at"] is None) for row in rows]


async def note_told(
    connection: asyncpg.Connection, alert: Alert, *, closing: bool, now: float
) -> None:
    """The webhook knows of an alert's opening, or of its closing."""
    found = alert.finding
    await connection.execute(_SQL["note_told"], *_key(alert.run), *found.key, closing, now)


async def setting(connection: asyncpg.Connection, workload_uid: str) -> WatchSetting:
    """What people set for a workload; nothing by default."""
    row = await connection.fetchrow(_SQL["setting"], workload_uid)
    if row is None:
        return WatchSetting()
    silence = Silence(row["silenced_until"] or 0.0, tuple(row["silenced_kinds"]))
    return WatchSetting(silence, msgspec.json.decode(row["thresholds"]))


async def put_setting(
    connection: asyncpg.Connection, workload_uid: str, chosen: WatchSetting, *, now: float
) -> None:
    """Set the watch of a workload, whole."""
    await connection.execute(
        _SQL["put_setting"],
        workload_uid,
        chosen.silence.until or None,
        list(chosen.silence.kinds),
        msgspec.json.encode(chosen.thresholds).decode(),
        now,
    )


def _key(run: WatchedRun) -> tuple[str, str, int]:
    return run.workload_uid, run.data_source, run.serial


def _columns(runs: Sequence[WatchedRun]) -> tuple[list[Any], ...]:
    return (
        [run.workload_uid for run in runs],
        [run.data_source for run in runs],
        [run.serial for run in runs],
    )


def _alert(row: asyncpg.Record) -> Alert:
    finding = Finding(
        kind=row["kind"],
        metric=row["metric"],
        since_step=row["since_step"],
        since=row["since_s"],
        last_step=row["last_step"],
        last_seen=row["last_seen_s"],
        state="open" if row["closed_at"] is None else "closed",
        text=row["text"],
        passing=row["passing"],
    )
    run = WatchedRun(row["workload_uid"], row["data_source"], row["serial"])
    return Alert(run, row["run_id"], finding, row["opened_s"], row["closed_s"])
