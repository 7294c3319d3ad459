"""Messages become reports: whose they are, when each point was, which step it belongs to."""

import pytest

from primus_lens.ingest import admission, wire
from primus_lens.model import errors
from primus_lens.model.points import Gap, RecordRange, Sender

NOW = 5_000.0


def report(*points, **fields):
    """The report of (name, value, step, time) points."""
    metrics = [wire.Metric(name, value, step, at) for name, value, step, at in points]
    message = wire.MetricsReport(metrics, **{"workload_uid": "w", **fields})
    return admission.admit_metrics(message, size_bytes=77, now=NOW)


def test_report_must_say_whose_it_is():
    """A report that names neither workload nor pod is refused in the specification's words."""
    with pytest.raises(errors.UnknownWorkload, match="no valid workload found"):
        report(workload_uid="", namespace="ns")


@pytest.mark.parametrize("named", ["workload_uid", "pod_uid", "pod_name"])
def test_workload_or_pod_is_enough(named):
    """One name of the workload or the pod suffices."""
    assert report(**{"workload_uid": "", named: "x"}).sender == Sender(**{named: "x"})


def test_points_of_a_step_share_a_row():
    """Points are gathered by step, in the order in which steps first came."""
    rows = report(("a", 1, 9, 10.0), ("a", 2, 3, 11.0), ("b", 3, 9, 10.0)).rows
    assert [(row.step, row.metrics) for row in rows] == [(9, {"a": 1, "b": 3}), (3, {"a": 2})]


def test_row_has_its_first_points_time_and_exceptions_carry_their_own():
    """A row keeps one time; only points logged at another one say so."""
    [row] = report(("a", 1, 0, 10.0), ("b", 2, 0, 10.0), ("c", 3, 0, 12.5)).rows
    assert (row.at, row.times) == (10.0, {"c": 12.5})


def test_point_without_a_time_takes_the_reports():
    """A point says when it was, else its report does."""
    rows = report(("a", 1, 0, None), ("b", 1, 1, 10.0), timestamp=99.0).rows
    assert [row.at for row in rows] == [99.0, 10.0]


def test_report_without_a_time_takes_its_arrival():
    """The moment of arrival stands in where neither point nor report has a time."""
    assert report(("a", 1, 0, None)).rows[0].at == NOW


def test_time_zero_is_a_time():
    """1970 is not mistaken for no time."""
    assert report(("a", 1, 0, 0.0)).rows[0].at == 0.0


def test_name_that_comes_again_with_another_value_opens_a_row():
    """A value overwritten within a report is kept, so that the store makes history of it."""
    rows = report(("a", 1, 0, 10.0), ("a", 2, 0, 11.0)).rows
    assert [(row.metrics, row.at) for row in rows] == [({"a": 1}, 10.0), ({"a": 2}, 11.0)]


def test_name_that_comes_again_with_the_same_value_is_one_point():
    """A point told twice in one report is told once, at its first time."""
    [row] = report(("a", 1, 0, 10.0), ("a", 1, 0, 11.0)).rows
    assert (row.metrics, row.at, row.times) == ({"a": 1}, 10.0, {})


def test_negative_zero_is_kept_as_text():
    """The sign of zero survives a store whose numbers have no negative zero."""
    [row] = report(("a", -0.0, 0, 1.0), ("b", 0.0, 0, 1.0)).rows
    assert row.metrics == {"a": "-0.0", "b": 0.0}


def test_training_data_keeps_what_is_not_a_number():
    """Everything of a logged row is stored; whether it is a curve is decided when it is read."""
    row = wire.LogRow(4, {"loss": 0.5, "note": "warm-up", "flags": [1, True]}, 10.0)
    message = wire.LogsReport([row], pod_name="p")
    admitted = admission.admit_logs(message, size_bytes=1, now=NOW)
    assert admitted.rows[0].metrics == {"loss": 0.5, "note": "warm-up", "flags": [1, True]}
    assert admitted.points == 1


def test_everything_a_report_carries_comes_along():
    """Records, size, run facts, definitions and gaps reach the store."""
    message = wire.MetricsReport(
        [],
        workload_uid="w",
        run_id="r",
        source="log",
        run=wire.RunFacts(state="running", world_size=8),
        definitions=[wire.Definition("train/*", step_metric="epoch")],
        gaps=[wire.GapNotice(3, 5, "spool_full", 30)],
    )
    records = RecordRange("s", 1, 2)
    admitted = admission.admit_metrics(message, size_bytes=77, now=NOW, records=records)
    assert (admitted.size_bytes, admitted.records, admitted.run_id) == (77, records, "r")
    assert admitted.data_source == "log"
    assert admitted.run_facts == {"state": "running", "world_size": 8}
    assert admitted.definitions == [{"name": "train/*", "step_metric": "epoch"}]
    assert admitted.gaps == [Gap(3, 5, "spool_full", 30)]
