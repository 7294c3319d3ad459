"""Laws of query/pace: how fast, how far, how long silent."""

import struct

import pytest

from primus_lens.query import pace


def ring(*pairs):
    """A ring as store/pulse packs it."""
    return b"".join(struct.pack("<dd", *pair) for pair in pairs)


def test_no_ring_no_pace():
    """A fleet of none has no paces, and a run without steps has neither rate nor gap."""
    assert pace.paces([]) == []
    assert pace.paces([b"", ring((1, 5))]) == [pace.Pace(None, None)] * 2


def test_steps_a_second_over_the_ring():
    """The rate is steps over seconds, the gap the usual time between two reported steps."""
    steady = ring(*[(10 * n, 100 + 5 * n) for n in range(32)])
    assert pace.paces([steady]) == [pace.Pace(rate=2.0, gap_s=5.0)]


def test_restart_and_outage_do_not_slow_the_pace():
    """A step back and a pause of more than ten gaps belong to no pace."""
    cut = ring((0, 0), (1, 1), (2, 2), (3, 1000), (2, 1001), (3, 1002), (4, 1003))
    assert pace.paces([cut]) == [pace.Pace(rate=1.0, gap_s=1.0)]


def test_steps_of_one_moment_have_no_rate():
    """Rows that all came at one moment tell no rate."""
    assert pace.paces([ring((0, 7), (1, 7), (2, 7))]) == [pace.Pace(None, 0.0)]


@pytest.mark.parametrize(
    "silent_s, gap_s, followed, expected",
    [
        (59, 1.0, False, "running"),
        (61, 1.0, False, "stalled"),
        (61, 7.0, False, "running"),
        (71, 7.0, False, "stalled"),
        (71, 7.0, True, "crashed"),
        (599, None, False, "running"),
        (601, None, False, "stalled"),
    ],
)
def test_running_until_silent_for_ten_gaps_and_a_minute(silent_s, gap_s, followed, expected):
    """A run that says it runs is stalled after max(60 s, 10 gaps), crashed if another followed."""
    assert pace.state("running", silent_s=silent_s, gap_s=gap_s, followed=followed) == expected


@pytest.mark.parametrize("said", ["finished", "failed", "crashed"])
def test_what_the_exporter_said_of_an_end_stands(said):
    """Silence after the end means nothing."""
    assert pace.state(said, silent_s=1e9, gap_s=1.0, followed=True) == said
    assert pace.state(None, silent_s=1e9, gap_s=1.0) == "unknown"


def told(latest, *, last_step=100, configured=None, rate=2.0, state="running"):
    """The progress of a run with these newest values."""
    return pace.progress(latest, last_step=last_step, configured=configured, rate=rate, state=state)


def test_progress_from_metric_before_config():
    """The job's own target_iteration counts before what its config says."""
    assert told({"target_iteration": 400}, configured=200) == pace.Progress(400, 0.25, 150.0)
    assert told({}, configured=200) == pace.Progress(200, 0.5, 50.0)
    assert told({}) == pace.Progress()


def test_progress_in_the_targets_unit():
    """A job that logs every tenth step tells its own step; the remaining time follows it."""
    assert told({"train/global_step": 1000}, configured=2000) == pace.Progress(2000, 0.5, 50.0)


def test_no_remaining_time_of_what_does_not_run():
    """A finished run is whole at its last step, a stalled one has no remaining time."""
    ended = told({}, configured=101, state="finished", last_step=100)
    assert ended == pace.Progress(101, 1.0, None)
    assert told({}, configured=200, state="stalled") == pace.Progress(200, 0.5, None)
    assert told({}, configured=200, rate=None) == pace.Progress(200, 0.5, None)


def test_sparkline_shows_a_step_once_and_leaves_out_what_is_not_finite():
    """Twice told is shown once, as told last; NaN and infinities are gaps."""
    odd = ring((1, 5.0), (2, float("nan")), (3, float("inf")), (1, 4.0))
    lines = pace.sparklines([odd, ring((1, 5.0), (2, 6.0)), b"", ring((1, float("nan")))])
    assert lines == [[4.0, None, None], [5.0, 6.0], [], [None]]
    assert pace.sparklines([]) == []
