"""Rows arranged for set-wise writing: laws of ingest/layers, and of admission before it."""

from hypothesis import given
from hypothesis import strategies as st

from primus_lens.ingest import admission, wire
from primus_lens.ingest.layers import layers
from primus_lens.model.points import PlacedRow, Row, RunId, WorkloadUid

POINTS = st.lists(
    st.tuples(
        st.integers(0, 3),  # step
        st.sampled_from("abc"),  # name
        st.sampled_from([1, 2, 2.5, "NaN", -0.0, 0]),  # value
        st.integers(100, 104).map(float),  # time
    ),
    max_size=30,
)


def placed(rows, workload="w", serial=1):
    """Rows under one run of a workload."""
    return [PlacedRow(WorkloadUid(workload), serial, "", row, row.at) for row in rows]


def admitted(points):
    """The rows of one report of these points."""
    metrics = [wire.Metric(name, value, step, at) for step, name, value, at in points]
    message = wire.MetricsReport(metrics, workload_uid="w", run_id="r")
    return list(admission.admit_metrics(message, size_bytes=1, now=0.0).rows)


def key(placed_row):
    """What the store keeps one document for."""
    return (
        placed_row.workload_uid,
        placed_row.serial,
        placed_row.row.data_source,
        placed_row.row.step,
    )


def written(stacked):
    """The documents after each layer was laid over the one before it, with each point's time."""
    documents = {}
    for layer in stacked:
        for each in layer:
            document = documents.setdefault(key(each), {})
            for name, value in each.row.metrics.items():
                if name not in document or document[name][0] != value:
                    document[name] = (value, each.row.times.get(name, each.row.at))
    return documents


@given(POINTS)
def test_no_step_comes_twice_in_a_layer(points):
    """One statement can write a layer: each step of a run is in it once at most."""
    for layer in layers(placed(admitted(points))):
        assert len({key(each) for each in layer}) == len(layer)


@given(POINTS)
def test_last_value_and_first_time_win(points):
    """A point has the value it was given last, and the time at which it first had that value."""
    expected = {}
    for step, name, value, at in points:
        stored = admission.storable(value)
        known = expected.setdefault(("w", 1, "wandb", step), {})
        if name not in known or known[name][0] != stored:
            known[name] = (stored, at)
    assert written(layers(placed(admitted(points)))) == expected


@given(POINTS, st.integers(0, 30))
def test_cutting_a_report_in_two_changes_nothing(points, cut):
    """Two reports waiting together are written as one report of all their points would be."""
    whole = layers(placed(admitted(points)))
    parts = layers(placed(admitted(points[:cut]) + admitted(points[cut:])))
    assert written(parts) == written(whole)


@given(POINTS)
def test_a_report_that_waits_twice_changes_nothing(points):
    """A report whose values do not contradict each other is the same waiting once or twice."""
    agreeing = list({(step, name): (step, name, v, at) for step, name, v, at in points}.values())
    once = layers(placed(admitted(agreeing)))
    twice = layers(placed(admitted(agreeing) + admitted(agreeing)))
    assert twice == once


def test_agreeing_rows_need_one_layer():
    """A hundred reports of one key at one step are one write, as Megatron logs them."""
    rows = [Row(RunId("r"), "wandb", 7, 100.0, {f"m{i}": i}, {}) for i in range(100)]
    [[only]] = layers(placed(rows))
    assert len(only.row.metrics) == 100


def test_a_changed_value_begins_a_layer():
    """Values that replace each other are written one after another, so that history sees each."""
    rows = [Row(RunId("r"), "wandb", 7, 100.0, {"loss": v}, {}) for v in (3, 2, 1)]
    assert [[p.row.metrics["loss"] for p in layer] for layer in layers(placed(rows))] == [
        [3],
        [2],
        [1],
    ]


def test_runs_and_workloads_stay_apart():
    """The same step of two runs and of two workloads is four documents of one layer."""
    row = Row(RunId("r"), "wandb", 7, 100.0, {"loss": 1}, {})
    rows = [each for w in "ab" for serial in (1, 2) for each in placed([row], w, serial)]
    [layer] = layers(rows)
    assert len(layer) == 4


def test_true_is_not_one():
    """A value that changes from 1 to true is a change."""
    rows = [Row(RunId("r"), "wandb", 7, 100.0, {"done": value}, {}) for value in (1, True)]
    assert len(layers(placed(rows))) == 2
