"""The judge: nothing is raised where nothing is wrong, and what is planted is found in time."""

import math

import hypothesis
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import NOISES, PLANTED_AT, ROWS, SHAPES, Judged, calm_loss, rows_of, times

from primus_lens.settings import Stall, Thresholds
from primus_lens.watch.divergence import tau
from primus_lens.watch.judge import RunJudge, RunState
from primus_lens.watch.points import JudgedRow

LOSS = "train/loss"
KINDS_OF_CURVES = len(SHAPES) * len(NOISES)


def judged(loss, at=None, **more):
    """What is said of a loss with steps of a second, beside other metrics."""
    at = 1_700_000_000 + np.arange(len(loss)) if at is None else at
    return Judged(rows_of({LOSS: loss, **more}, at))


def noisy(seed=0, rows=ROWS, level=2.0):
    """A loss that stays at its level, with noise of 2 %."""
    return level * (1 + 0.02 * np.random.default_rng(seed).normal(size=rows))


@pytest.mark.timeout(110)
def test_no_alert_in_curves_without_trouble():
    """Constant and slowly falling losses with six kinds of noise raise no alert, in 200.

    bench/watch.py judges 1,000, as many as it is asked for.
    """
    alarms = {}
    for seed in range(200):
        rows = 1_000 if seed < KINDS_OF_CURVES * 4 else 400
        found = judged(calm_loss(seed, rows=rows), times(seed, rows=rows)).alerts
        alarms |= {(seed, each.kind): each.text for each in found}
    assert alarms == {}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("seed", range(4))
def test_nan_in_a_loss_is_found_at_once(seed, value):
    """A loss that is no number is told with that very row."""
    loss = calm_loss(seed)
    loss[PLANTED_AT:] = value
    assert judged(loss).opened_at("nonfinite", LOSS) == PLANTED_AT


def test_nan_of_another_metric_is_told_when_it_lasts():
    """A metric that is no loss, as a gradient norm, may be NaN now and then; thrice is news."""
    norm = np.ones(ROWS)
    norm[150] = math.nan
    assert judged(noisy(), norm=norm).opened_at("nonfinite", "norm") is None
    [passing] = [f for f in judged(noisy(), norm=norm).newest.values() if f.metric == "norm"]
    assert (passing.passing, passing.state) == (True, "closed")
    assert passing.text == "norm was NaN at step 150 (1 value) and is a number again"
    norm[150:153] = math.nan
    assert judged(noisy(), norm=norm).opened_at("nonfinite", "norm") == 152


def test_metric_that_never_was_a_number_is_no_trouble():
    """A metric that is NaN from the start is empty, and nobody is told."""
    assert judged(noisy(), f1=np.full(ROWS, math.nan)).alerts == []


def test_nan_that_went_is_closed():
    """Ten numbers in a row end it; one by one they come and go within one trouble."""
    loss = noisy()
    loss[[600, 603, 605]] = math.nan
    [found] = judged(loss).alerts
    assert (found.kind, found.state, found.since_step) == ("nonfinite", "closed", 600)
    assert found.text == f"{LOSS} was NaN at step 600 (3 values) and is a number again"


@pytest.mark.parametrize("seed", range(24))
def test_loss_that_jumps_and_stays_is_found_within_15_rows(seed):
    """A loss that is eight times as high and stays there is told after ten points up there."""
    loss = calm_loss(seed)
    loss[PLANTED_AT:] *= 8
    found = judged(loss)
    assert PLANTED_AT <= found.opened_at("loss_spike", LOSS) <= PLANTED_AT + 15
    [spike] = [f for f in found.alerts if f.kind == "loss_spike"]
    assert spike.state == "open"


def test_text_of_a_spike_says_from_where_to_where_and_for_how_long():
    """The text of an alert is a sentence with the numbers that count."""
    loss = noisy(level=2.1)
    loss[PLANTED_AT:] = 8.4
    found = judged(loss[: PLANTED_AT + 51]).newest["loss_spike", LOSS, PLANTED_AT]
    assert found.text == (
        f"{LOSS} rose from 2.1 to 8.4 at step 600 and has stayed there for 50 steps"
    )


def test_spike_of_one_step_goes_away():
    """A spike that recovers is written down as passing and never told."""
    loss = noisy()
    loss[PLANTED_AT] = 9.0
    found = judged(loss)
    assert found.alerts == []
    [spike] = found.newest.values()
    assert (spike.passing, spike.state, spike.since_step) == (True, "closed", PLANTED_AT)
    assert spike.text.endswith("to 9 at step 600 and came back after 1 point")


def test_spike_that_came_back_late_is_closed():
    """An alert ends when five points in a row are back."""
    loss = noisy()
    loss[PLANTED_AT : PLANTED_AT + 40] *= 4
    [found] = judged(loss).alerts
    assert (found.kind, found.state) == ("loss_spike", "closed")
    assert found.text.endswith("at step 600 and came back at step 644")


@pytest.mark.parametrize("level", [0.0, -3.0])
def test_loss_that_is_not_positive_is_judged_on_its_own_scale(level):
    """Losses of either sign have spikes; one that is zero until it is switched on has none."""
    loss = level + 0.1 * np.random.default_rng(1).normal(size=ROWS)
    loss[PLANTED_AT:] += 5
    assert judged(loss).opened_at("loss_spike", LOSS) == PLANTED_AT + 9
    switched_on = np.where(np.arange(ROWS) < PLANTED_AT, 0.0, 0.3)
    assert judged(switched_on).alerts == []


@pytest.mark.parametrize("seed", range(24))
def test_loss_that_climbs_is_found_within_250_rows(seed):
    """A loss that climbs by its own height in 100 rows is a divergence within 250."""
    loss = calm_loss(seed)
    loss[PLANTED_AT:] *= 1 + np.arange(ROWS - PLANTED_AT) / 100
    opened = judged(loss).opened_at("divergence", LOSS)
    assert PLANTED_AT < opened <= PLANTED_AT + 250


def test_divergence_that_came_back_is_closed():
    """A loss that falls again below half of the rise has come back."""
    loss = noisy()
    loss[500:800] *= np.linspace(1, 6, 300)
    [found] = [f for f in judged(loss).alerts if f.kind == "divergence"]
    assert (found.state, "came back at step" in found.text) == ("closed", True)


def test_loss_that_stays_nan_diverged():
    """Twenty values that are no number are a divergence; ten in a row that are begin anew."""
    loss = noisy()
    loss[PLANTED_AT : PLANTED_AT + 30] = math.nan
    found = judged(loss)
    assert found.opened_at("divergence", LOSS) == PLANTED_AT + 19
    assert found.newest["divergence", LOSS, PLANTED_AT].state == "closed"
    loss[PLANTED_AT + 10] = 2.0
    assert judged(loss).opened_at("divergence", LOSS) == PLANTED_AT + 20
    loss[PLANTED_AT + 10 : PLANTED_AT + 20] = 2.0
    assert judged(loss).opened_at("divergence", LOSS) is None


def test_held_out_loss_may_climb():
    """The loss of held-out data climbs when a model overfits: by default no divergence."""
    loss = noisy() * np.linspace(1, 9, ROWS)
    found = Judged(rows_of({"eval/loss": loss}, np.arange(ROWS)))
    assert [f.kind for f in found.alerts] == []


@pytest.mark.parametrize("seed", range(24))
def test_steps_that_take_twice_as_long_are_found_within_48_rows(seed):
    """Steps that take twice as long are told after two medians of 16, pauses or not."""
    took = np.diff(times(seed, least_s=1), prepend=1_700_000_000)
    took[PLANTED_AT:] *= 2
    found = judged(calm_loss(seed), 1_700_000_000 + np.cumsum(took))
    assert PLANTED_AT < found.opened_at("throughput_drop") <= PLANTED_AT + 48


def test_steps_that_are_fast_again_close_it():
    """Two medians at the old pace end a drop, and the end of a run does, too."""
    took = np.ones(ROWS)
    took[600:800] = 3
    [found] = judged(noisy(), np.cumsum(took)).alerts
    assert (found.kind, found.state) == ("throughput_drop", "closed")
    assert found.text.startswith("a step took 3 s from step 59")
    still = judged(noisy(rows=700), np.cumsum(took[:700]))
    [ended] = still.judge.end(2_000.0)
    assert ended.text.endswith("to the end; 1 s before")
    assert list(still.judge.end(2_001.0)) == []


def test_stall_is_measured_in_the_runs_own_steps():
    """A silence is a stall after ten of the run's own steps, and never before a minute."""
    fast, slow = (judged(noisy(), 10_000 + step * np.arange(ROWS)).judge for step in (0.1, 60.0))
    assert list(fast.look(59.0)) == list(slow.look(599.0)) == []
    [found] = fast.look(61.0)
    assert found.text == "nothing came for 1 min 1 s after step 999; rows usually come every 100 ms"
    assert [each.kind for each in slow.look(601.0)] == ["stall"]


def test_pause_that_was_shown_twice_is_a_habit():
    """Evaluations of five minutes are no stall once there were two; one hang alone is no habit."""
    took = np.ones(ROWS)
    took[[300, 600]] = 300
    judge = judged(noisy(), np.cumsum(took)).judge
    assert list(judge.look(599.0)) == []
    assert [each.kind for each in judge.look(601.0)] == ["stall"]
    took[600] = 1
    assert [each.kind for each in judged(noisy(), np.cumsum(took)).judge.look(61.0)] == ["stall"]


def test_first_steps_may_take_long():
    """Before a run has a pace of its own, compiling for minutes is no stall."""
    judge = judged(noisy(rows=3)).judge
    assert list(judge.look(599.0)) == []
    assert [each.kind for each in judge.look(601.0)] == ["stall"]


def test_stall_ends_with_the_next_row_or_with_the_run():
    """A stall that was told is closed, and says how."""
    for end in ("row", "run"):
        judge = judged(noisy()).judge
        [found] = judge.look(120.0)
        assert list(judge.look(121.0)) == []  # hardly longer: not said again
        last = JudgedRow(ROWS, 1_700_001_200.0, {LOSS: 2.0})
        [closed] = judge.feed(last) if end == "row" else judge.end(1_700_001_200.0)
        assert (closed.key, closed.state) == (found.key, "closed")


def test_gap_between_two_attempts_is_no_stall():
    """A run that was started again after a crash was not silent by itself."""
    judge = judged(noisy()).judge
    row = JudgedRow(ROWS, 1_700_009_000.0, {LOSS: 2.0})
    assert list(judge.feed(row, began_at=1_700_008_000.0)) == []


def test_what_is_switched_off_says_nothing():
    """Each detector can be switched off."""
    off = {kind: {"enabled": False} for kind in ("nonfinite", "loss_spike", "divergence")}
    off |= {kind: {"enabled": False} for kind in ("stall", "throughput_drop")}
    limits = msgspec.convert(off, Thresholds)
    loss, took = noisy(), np.ones(ROWS)
    loss[600:700], loss[700:], took[800:] = 50, math.nan, 70
    found = Judged(rows_of({LOSS: loss}, np.cumsum(took)), limits)
    assert found.said == list(found.judge.look(9_999.0)) == []


def test_names_of_losses_are_chosen_by_globs():
    """What is a loss is a matter of names; those of a loss scale are none."""
    rows = list(rows_of({"ce": noisy(), "amp/loss_scale": noisy()}, np.arange(ROWS)))
    rows[600:] = [JudgedRow(r.step, r.at, dict.fromkeys(r.values, 99.0)) for r in rows[600:]]
    assert Judged(rows).alerts == []
    limits = msgspec.structs.replace(Thresholds(), losses=("ce",))
    assert {f.metric for f in Judged(rows, limits).alerts} == {"ce"}


@hypothesis.settings(max_examples=30)
@given(st.integers(0, 23), st.lists(st.integers(1, ROWS - 1), max_size=5, unique=True))
def test_judging_in_pieces_is_judging_at_once(seed, cuts):
    """Written down and taken up again anywhere, a judge says the same."""
    loss, at = calm_loss(seed), times(seed, least_s=1)
    loss[300:330] *= 5
    loss[500:530] = math.nan
    loss[600:] *= np.linspace(1, 9, ROWS - 600)
    rows = list(rows_of({LOSS: loss, "m": loss}, at))
    whole = Judged(rows).said
    pieces, judge = [], RunJudge(Thresholds())
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), ROWS], strict=True):
        pieces += Judged(rows[start:end], judge=judge).said
        judge = RunJudge(Thresholds(), RunState.decoded(judge.state.encoded()))
    assert repr(pieces) == repr(whole)


VALUES = st.one_of(
    st.floats(), st.integers(-(10**400), 10**400), st.booleans(), st.none(), st.text(max_size=3),
    st.sampled_from(["NaN", "Infinity", "-Infinity", "-0.0"]), st.lists(st.integers(), max_size=1),
)  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1e10), VALUES, VALUES), max_size=60))
def test_no_row_stops_the_judge(rows):
    """Whatever a job logs, in any order and at any time, is judged without an error."""
    judge = RunJudge(msgspec.structs.replace(Thresholds(), stall=Stall(least_s=1)))
    for step, at, loss, other in rows:
        list(judge.feed(JudgedRow(step, at, {"loss": loss, "other": other})))
        list(judge.look(at))
    assert RunState.decoded(judge.state.encoded()) is not None


def test_state_of_another_version_is_not_read():
    """What cannot be understood is not guessed at."""
    assert RunState.decoded(msgspec.msgpack.encode({"version": 99})) is None
    assert RunState.decoded(b"\xc1") is None


@given(st.lists(st.integers(), min_size=2, max_size=8, unique=True))
def test_tau_is_one_for_a_climb_and_minus_one_for_a_fall(values):
    """Kendall's tau counts pairs in order."""
    assert tau(sorted(values)) == 1
    assert tau(sorted(values, reverse=True)) == -1
