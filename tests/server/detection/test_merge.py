import pytest
from hypothesis import given
from hypothesis import strategies as st

from primus_lens.detection.decide import merge
from primus_lens.model.detections import Conflict, Detection, Layer, SourcedDetection, Status


def said(source, wrapper="", base="", *, confidence=0.9, method="import", at=0.0):
    """One source's word, by default as sure as an import."""
    return SourcedDetection(
        source=source,
        at=at,
        detection=Detection(
            framework=wrapper or base,
            layer=Layer.WRAPPER if wrapper else Layer.BASE,
            confidence=confidence,
            method=method,
            wrapper_framework=wrapper,
            base_framework=base,
        ),
    )


REPORTS = st.builds(
    said,
    st.sampled_from(["user", "wandb", "component", "log", "image", "other"]),
    st.sampled_from(["", "primus", "lightning", "nemo"]),
    st.sampled_from(["megatron", "deepspeed", "jax"]),
    confidence=st.sampled_from([0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.5, -1.0]),
    method=st.sampled_from(["import", "env_vars", "project_name"]),
    at=st.sampled_from([0.0, 1.0, 2.0]),
)
MANY = st.lists(REPORTS, min_size=1, max_size=8)


@given(MANY, st.randoms())
def test_order_does_not_matter(reports, random):
    """Reports give the same answer in whatever order they come."""
    shuffled = list(reports)
    random.shuffle(shuffled)
    assert merge(shuffled) == merge(reports)


@given(MANY, st.data())
def test_replay_changes_nothing(reports, data):
    """A report that comes again changes nothing."""
    again = data.draw(st.sampled_from(reports))
    assert merge([*reports, again]) == merge(reports)


@given(MANY)
def test_confidence_is_a_probability(reports):
    """The confidence lies between 0 and 1, whatever the sources claimed."""
    assert 0.0 <= merge(reports).confidence <= 1.0


@given(MANY)
def test_the_framework_is_of_its_layer(reports):
    """The framework is the wrapper when there is one, else the base."""
    merged = merge(reports)
    assert merged.framework == (merged.wrapper_framework or merged.base_framework)
    assert (merged.layer is Layer.WRAPPER) == bool(merged.wrapper_framework)


@given(MANY)
def test_every_conflict_names_two_frameworks(reports):
    """A conflict is between two sources that name different frameworks."""
    for conflict in merge(reports).conflicts:
        assert conflict.kept != conflict.dropped
        assert conflict.kept_source != conflict.dropped_source


@given(REPORTS)
def test_one_report_is_its_own_answer(report):
    """With one report there is nothing to weigh: no bonus, no conflict."""
    merged = merge([report])
    confidence = min(1.0, max(0.0, report.detection.confidence))
    assert (merged.confidence, merged.conflicts) == (confidence, ())
    assert merged.framework == report.detection.framework


def test_no_reports():
    """Without a report there is no answer."""
    assert merge([]) is None


def test_suspected():
    """One weak sign is a suspicion."""
    assert merge([said("wandb", "primus", confidence=0.5)]).status is Status.SUSPECTED


def test_confirmed():
    """One strong source confirms."""
    assert merge([said("wandb", "primus", "megatron")]).status is Status.CONFIRMED


def test_verified():
    """A second source that agrees verifies, and makes the answer surer."""
    merged = merge([said("wandb", "primus"), said("log", "primus", confidence=0.7)])
    assert (merged.status, merged.confidence) == (Status.VERIFIED, 0.95)
    assert merged.sources == ("wandb", "log")


def test_agreement_is_capped():
    """Agreement adds at most .15, and never more than certainty."""
    sources = [said(f"s{n}", "primus", confidence=0.65) for n in range(9)]
    assert merge(sources).confidence == 0.80
    assert merge([said(f"s{n}", "primus", confidence=0.99) for n in range(9)]).confidence == 1.0


def test_one_source_does_not_agree_with_itself():
    """Eight ranks that say the same through wandb are one source."""
    ranks = [said("wandb", "primus", at=float(rank)) for rank in range(8)]
    assert merge(ranks).confidence == 0.9


def test_surest_report_of_a_source_counts():
    """What wandb saw by import outlives the guess from the project's name before it."""
    early = said("wandb", "lightning", confidence=0.5, method="project_name", at=1.0)
    late = said("wandb", "primus", "megatron", at=2.0)
    merged = merge([early, late])
    assert (merged.framework, merged.conflicts) == ("primus", ())


def test_newest_of_equally_sure_reports_counts():
    """A workload that restarts with another framework is shown as what it runs now."""
    assert merge([said("wandb", "nemo", at=1.0), said("wandb", "primus", at=2.0)]).framework == (
        "primus"
    )


def test_conflict_is_listed():
    """Sources that contradict each other are a conflict; the surer one is kept."""
    merged = merge([said("wandb", "primus"), said("log", "lightning", confidence=0.75)])
    assert (merged.framework, merged.status) == ("primus", Status.CONFLICT)
    assert merged.conflicts == (
        Conflict(Layer.WRAPPER, "primus", "wandb", "lightning", "log", "confidence"),
    )


@pytest.mark.parametrize(
    "better,worse,resolution",
    [
        (said("wandb", "primus"), said("component", "nemo"), "priority"),
        (said("component", "nemo"), said("wandb", "primus", method="env_vars"), "priority"),
        (said("component", "nemo"), said("log", "primus"), "priority"),
        (said("log", "nemo"), said("rumour", "primus"), "priority"),
        (said("hearsay", "nemo"), said("rumour", "primus"), "order"),
    ],
)
def test_source_breaks_a_tie(better, worse, resolution):
    """Of equally sure sources the nearer to the job wins: an import first, a log line last."""
    merged = merge([worse, better])
    assert merged.framework == better.detection.framework
    assert merged.conflicts[0].resolution == resolution


def test_user_settles():
    """The user's word wins over any evidence, and what contradicts it is listed but settled."""
    merged = merge([said("wandb", "primus"), said("user", "nemo", confidence=0.4)])
    assert merged.framework == "nemo"
    assert [conflict.resolution for conflict in merged.conflicts] == ["user"]
    assert merged.status is not Status.CONFLICT


def test_suspicions_are_not_heard_beside_better():
    """A guess from a name neither contradicts nor adds to what was seen."""
    merged = merge([said("wandb", base="megatron"), said("log", "lightning", confidence=0.5)])
    assert (merged.framework, merged.conflicts) == ("megatron", ())


def test_layers_complete_each_other():
    """A source that knows the wrapper and one that knows the base give both."""
    merged = merge([said("wandb", base="megatron"), said("component", "primus", confidence=0.8)])
    assert (merged.wrapper_framework, merged.base_framework) == ("primus", "megatron")
    assert (merged.confidence, merged.status) == (0.8, Status.CONFIRMED)


def test_conflict_about_the_base():
    """Sources that agree on the wrapper may still contradict each other about the base."""
    merged = merge(
        [said("wandb", "primus", "megatron"), said("log", "primus", "jax", confidence=0.7)]
    )
    assert (merged.framework, merged.status) == ("primus", Status.CONFLICT)
    assert [conflict.layer for conflict in merged.conflicts] == [Layer.BASE]


def test_other_names_agree():
    """Sources that use another name for the same framework agree, layer stated or not."""
    log = SourcedDetection("log", 0.0, Detection("Megatron-LM", Layer.BASE, 0.7, "log_pattern"))
    merged = merge([said("wandb", base="megatron"), log])
    assert (merged.confidence, merged.sources) == (0.95, ("wandb", "log"))
