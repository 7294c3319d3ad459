"""The watch over a real database, with the clock in the test's hand."""

import math

import numpy as np
from planted import calm_loss
from scene import START

from primus_lens.settings import LossSpike, WatchSettings
from primus_lens.store import watch as stored
from primus_lens.store.watch import WatchSetting


def rows(loss, *, first=0, step_s=1.0, at=START, **more):
    """Rows with a loss, a step every step_s seconds from `at` on."""
    return [
        (first + i, at + i * step_s, {"loss": float(value)} | {n: m[i] for n, m in more.items()})
        for i, value in enumerate(loss)
    ]


def troubled():
    """A loss with a NaN, a spike that passes, one that stays a while, and a climb at the end."""
    loss = calm_loss(1, rows=900)
    loss[200:203] = math.nan
    loss[250] *= 9
    loss[300:340] *= 6
    loss[500:] *= np.linspace(1, 9, 400)
    return rows(loss)


def test_trouble_becomes_an_alert_once(scene):
    """A NaN is an alert with its run, step and times; looking again adds nothing."""

    async def scenario(play):
        await play.report(rows([2.0, 2.0, math.nan]), state="running")
        swept = await play.look()
        assert (swept.runs, swept.rows, swept.opened) == (1, 3, {"nonfinite": 1})
        [alert] = await play.alerts("open")
        assert (alert.run.workload_uid, alert.run.serial, alert.run_id) == ("w", 1, "r")
        assert (alert.finding.since_step, alert.finding.since) == (2, START + 2)
        assert (alert.opened, alert.closed) == (play.now, None)
        assert (await play.look()).rows == 0
        assert await play.alerts() == [alert]

    scene(scenario)


def test_replay_of_history_says_what_the_watch_said(scene):
    """Rows judged as they came and the same rows judged from the tables give the same alerts."""

    async def scenario(play):
        await play.live(troubled(), state="running")
        live = {each.finding.key: each.finding for each in await play.alerts()}
        assert {key[0] for key in live} == {"nonfinite", "loss_spike", "divergence"}
        assert live == {each.key: each for each in await play.replayed()}

    scene(scenario)


def test_restart_anywhere_changes_nothing(scene):
    """A watch that is started anew after each look says what an uninterrupted one says."""

    async def scenario(play):
        history = troubled()
        for start in range(0, len(history), 60):
            piece = history[start : start + 60]
            play.now = piece[-1][1]
            await play.report(piece, state="running")
            await play.look(0.0)
            play.begin()
        await play.look()
        live = {each.finding.key: each.finding for each in await play.alerts()}
        assert live == {each.key: each for each in await play.replayed()}

    scene(scenario)


def test_judging_again_reopens_nothing(scene):
    """A watch that forgot all and judges from the start leaves closed alerts as they are."""

    async def scenario(play):
        await play.live(troubled()[:450], state="running")
        before = await play.alerts()
        await play.connection.execute("DELETE FROM watch_state")
        play.begin()
        assert (await play.look()).rows == 450
        assert await play.alerts() == before

    scene(scenario)


def test_silent_run_stalls_and_goes_on(scene):
    """A running run that sends nothing for ten steps is an alert until it sends again."""

    async def scenario(play):
        await play.live(rows(calm_loss(0, rows=50), step_s=20), state="running")
        await play.look(190)
        assert await play.told() == []
        await play.look(20)
        assert await play.told() == [("stall", "", 49, "open")]
        await play.report(rows([2.0], first=50, at=play.now))
        await play.look()
        assert await play.told() == [("stall", "", 49, "closed")]

    scene(scenario)


def test_run_that_ended_does_not_stall(scene):
    """Neither a run that has ended nor one that never said how it stands is silent for a reason."""

    async def scenario(play):
        history = rows(calm_loss(0, rows=50))
        await play.live(history, state="running", run_id="a")
        await play.report([], state="finished", run_id="a")
        await play.live(history, run_id="b")
        await play.look(5_000)
        assert await play.told() == []
        await play.report([], state="running", run_id="c")  # nothing came yet
        await play.look(5_000)
        assert await play.told() == []

    scene(scenario)


def test_stall_ends_with_its_run(scene):
    """A stall of a run that then says it has failed is closed."""

    async def scenario(play):
        await play.live(rows(calm_loss(0, rows=50)), state="running")
        await play.look(90)
        assert await play.told("open") == [("stall", "", 49, "open")]
        await play.report([], state="crashed")
        await play.look()
        assert await play.told() == [("stall", "", 49, "closed")]
        assert (await play.alerts())[0].finding.text.endswith("then the run ended")

    scene(scenario)


def test_silence_of_the_watch_is_not_the_runs(scene):
    """After a start, runs have a while to be heard before any is silent."""

    async def scenario(play):
        await play.live(rows(calm_loss(0, rows=50)), state="running")
        play.now += 3_600  # the server was down
        play.begin()
        await play.look(50)
        assert await play.told() == []
        await play.look(20)
        assert await play.told() == [("stall", "", 49, "open")]

    scene(scenario)


def test_new_attempt_is_judged_from_its_first_step(scene):
    """Steps that a later attempt writes anew are judged again, with the values it gave them."""

    async def scenario(play):
        await play.live(rows(calm_loss(1, rows=100)), state="running", attempt=START - 1)
        again = rows([math.nan] + [2.0] * 9, first=80, at=START + 500)
        await play.live(again, state="running", attempt=START + 499)
        assert await play.told() == [("nonfinite", "loss", 80, "open")]
        more = rows([2.0] * 40, first=90, at=START + 510)
        await play.live(more, state="running", attempt=START + 499)
        assert await play.told() == [("nonfinite", "loss", 80, "closed")]

    scene(scenario)


def test_metrics_that_come_a_moment_later_are_judged(scene):
    """The newest row waits until another follows or nothing was added for two seconds."""

    async def scenario(play):
        await play.report(rows([2.0, 2.0]))
        await play.look(0.5)
        await play.report([(1, START + 1.5, {"aux_loss": math.inf})])
        await play.look(0.5)
        assert await play.told() == []
        await play.look(3.0)
        assert await play.told() == [("nonfinite", "aux_loss", 1, "open")]

    scene(scenario)


def test_work_of_a_look_is_bounded(scene, monkeypatch):
    """A look that has judged its share leaves the rest to the next; in the end all is judged."""
    monkeypatch.setattr("primus_lens.watch.sweep._ROWS_AT_ONCE", 10)
    monkeypatch.setattr("primus_lens.watch.sweep._ROWS_A_SWEEP", 60)

    async def scenario(play):
        for name in "abcde":
            await play.report(rows([2.0] * 49 + [math.nan]), workload=name, state="running")
        judged = [(await play.look()).rows for _ in range(7)]
        assert (sum(judged), max(judged) <= 100, judged[-1]) == (250, True, 0)
        assert len(await play.alerts("open", kind="nonfinite")) == 5

    scene(scenario)


def test_long_history_is_taken_up_at_its_end(scene, monkeypatch):
    """A run that is met in its middle is judged from its newest rows on."""
    monkeypatch.setattr("primus_lens.watch.sweep._FIRST_ROWS", 40)

    async def scenario(play):
        await play.report(rows([math.nan] + [2.0] * 99))
        assert (await play.look()).rows == 40
        assert await play.told() == []

    scene(scenario)


def test_old_runs_are_not_watched(scene):
    """Runs that are imported, or silent for a day, raise nothing."""

    async def scenario(play):
        await play.report(rows([math.nan] * 3, at=START - 1e6))
        assert (await play.look()).runs == 0
        await play.report(rows([2.0] * 3), workload="v", state="running")
        assert (await play.look()).runs == 1
        assert (await play.look(90_000)).runs == 0
        assert await play.told() == []

    scene(scenario)


def test_thresholds_of_a_workload_hold_from_the_next_look_on(scene):
    """What is set for a workload changes how it is judged, and only it."""

    async def scenario(play):
        own = WatchSetting(thresholds={"nonfinite": {"enabled": False}})
        await stored.put_setting(play.connection, "w", own, now=play.now)
        for name in "wv":
            await play.report(rows([2.0, math.nan]), workload=name)
        await play.look()
        assert [each.run.workload_uid for each in await play.alerts()] == ["v"]
        await stored.put_setting(play.connection, "w", WatchSetting(), now=play.now)
        await play.report(rows([math.nan], first=2, at=START + 2))
        await play.look()
        assert [each.run.workload_uid for each in await play.alerts()] == ["v", "w"]

    scene(scenario)


def test_passing_spike_may_become_an_alert(scene):
    """A trouble that was written down as passing is an alert once it lasts, and opened then."""

    async def scenario(play):
        history = rows([2.0] * 60, norm=[1.0] * 20 + [math.nan, 1.0, math.nan, math.nan] * 10)
        play.begin(WatchSettings(loss_spike=LossSpike(enabled=False)))
        await play.live(history, every=1)
        assert await play.told() == [("nonfinite", "norm", 20, "open")]

    scene(scenario)


def test_bug_with_one_run_does_not_end_the_watch(scene, monkeypatch, caplog):
    """A run whose judging fails is logged and left alone; the others are judged."""
    monkeypatch.setattr(
        "primus_lens.watch.nonfinite.NonfiniteWatch.feed",
        lambda *_: 1 / 0,
    )

    async def scenario(play):
        await play.report(rows([math.nan]), workload="a")
        await play.report(rows([2.0]), workload="b")
        assert (await play.look()).rows == 2
        assert await play.told() == []

    scene(scenario)
    assert "a run could not be judged" in caplog.text


def test_one_replica_watches_at_a_time(scene):
    """The lock is had by one connection; when that ends, by another."""

    async def scenario(play):
        assert await stored.try_to_watch(play.connection)
        async with play.database.connection() as other:
            assert not await stored.try_to_watch(other)
        await play.connection.execute("SELECT pg_advisory_unlock_all()")
        async with play.database.connection() as other:
            assert await stored.try_to_watch(other)

    scene(scenario)
