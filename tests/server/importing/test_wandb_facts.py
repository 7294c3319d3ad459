"""What a `.wandb` file says of its run beside the rows."""

import os
import time

import pytest
from wandb.proto import wandb_internal_pb2 as pb

from primus_lens.importing.delivery import closing_facts
from primus_lens.importing.records import Account, ImportFailed
from primus_lens.importing.redaction import REDACTED
from primus_lens.importing.wandb_facts import RunFacts
from primus_lens.importing.wandb_file import WandbFile


@pytest.fixture(scope="module")
def told(tmp_path_factory, record_runs):
    """The source of a run that says much about itself, read to its end."""
    scenario = """
run.config.update({'lr': 0.1, 'hf_token': 'hf_abcdefghijklmnop', 'net': {'depth': 3, 'name': 'x'}})
run.name, run.tags = 'a name', ('one', 'two')
wandb.define_metric('val/*', step_metric='epoch', hidden=True)
wandb.log({'loss': 0.5})
run.summary['best'] = 0.25
"""
    [path] = record_runs(tmp_path_factory.mktemp("facts") / "home", [scenario])
    source = WandbFile(path)
    list(source.records())
    return source


@pytest.mark.wandb
def test_run_is_told(told):
    """Name, project, tags and the end arrive."""
    facts = closing_facts(told, now=time.time())
    assert (facts["name"], facts["project"], facts["tags"]) == ("a name", "p", ["one", "two"])
    assert (facts["state"], facts["exit_code"]) == ("finished", 0)
    assert facts["started_at"] <= facts["ended_at"] == facts["attempt"]


@pytest.mark.wandb
def test_config_is_told_without_secrets(told):
    """The config arrives, a credential in it does not."""
    config = told.account.facts["config"]
    assert config["lr"] == 0.1
    assert config["net"] == {"depth": 3, "name": "x"}
    assert config["hf_token"] == "[redacted]"  # noqa: S105 - the fact under test


@pytest.mark.wandb
def test_summary_is_told_in_numbers(told):
    """The summary arrives: a row's last values, and what the job put there itself."""
    summary = told.account.facts["summary"]
    assert {name: bytes(value) for name, value in summary.items()} == {
        "loss": b"0.5",
        "best": b"0.25",
    }


@pytest.mark.wandb
def test_definitions_are_told(told):
    """define_metric arrives."""
    assert told.account.definitions["val/*"] == {
        "name": "val/*",
        "step_metric": "epoch",
        "hidden": True,
    }


@pytest.mark.wandb
def test_definition_is_extended_until_it_is_overwritten():
    """A second word on a metric adds to the first, unless it says that it replaces it."""
    account = Account()
    facts = RunFacts(account)
    for metric in (
        pb.MetricRecord(name="loss", goal=pb.MetricRecord.GOAL_MINIMIZE),
        pb.MetricRecord(name="loss", step_metric="epoch"),
        pb.MetricRecord(step_metric="of nothing"),
    ):
        facts.read(12, metric.SerializeToString())
    said = {"name": "loss", "goal": "minimize", "step_metric": "epoch"}
    assert account.definitions == {"loss": said}
    replacing = pb.MetricRecord(name="loss", _control=pb.MetricControl(overwrite=True))
    facts.read(12, replacing.SerializeToString())
    assert account.definitions == {"loss": {"name": "loss"}}


@pytest.mark.wandb
def test_config_and_summary_forget_what_was_removed():
    """What a job took back is not told."""
    account = Account()
    facts = RunFacts(account)
    update = [{"key": "a", "value_json": "1"}, {"nested_key": ["b", "c"], "value_json": "2"}]
    for kind, message in ((5, pb.ConfigRecord), (3, pb.SummaryRecord)):
        facts.read(kind, message(update=update).SerializeToString())
        facts.read(kind, message(remove=[{"key": "a"}]).SerializeToString())
    facts.close()
    assert account.facts["config"] == {"b": {"c": 2}}
    assert {name: bytes(value) for name, value in account.facts["summary"].items()} == {"b.c": b"2"}


@pytest.mark.wandb
def test_credentials_in_names_and_tags_stay():
    """What looks like a credential does not leave in a name, a job type or a tag either."""
    account = Account()
    run = pb.RunRecord(
        run_id="r", display_name="try token=abc", job_type="https://me:pw@host", tags=["a", "pwd=b"]
    )
    RunFacts(account).read(17, run.SerializeToString())
    assert (account.facts["name"], account.facts["job_type"]) == (REDACTED, REDACTED)
    assert account.facts["tags"] == ["a", REDACTED]


def test_run_without_an_end_has_crashed_once_it_is_silent(recorded, tmp_path):
    """A file that tells no end and is not written any more is of a run that crashed."""
    path = tmp_path / "run.wandb"
    path.write_bytes(recorded["threads"].read_bytes()[:20_000])
    source = WandbFile(path)
    list(source.records())
    assert closing_facts(source, now=time.time())["state"] == "running"
    os.utime(path, (0, 0))
    assert closing_facts(source, now=time.time())["state"] == "crashed"


def test_file_without_a_run_is_refused(recorded, tmp_path):
    """A file that was cut before it named its run cannot be imported."""
    path = tmp_path / "run.wandb"
    path.write_bytes(recorded["threads"].read_bytes()[:40])
    with pytest.raises(ImportFailed, match="says nowhere which run it is"):
        WandbFile(path)
