import json
import pathlib
import sys
import types

import msgspec
import pytest

from primus_lens.detection import rules
from primus_lens.detection.decide import detect
from primus_lens.model.detections import DetectionRequest
from primus_lens_wandb_exporter import _evidence, _frameworks, _redaction


def posted(env):
    """What the exporter's evidence of this process is, once the ingest has read it."""
    report = {"workload_uid": "w", **_evidence.collect(env, {"project": "p", "id": "1"})}
    return report, msgspec.json.decode(json.dumps(report), type=DetectionRequest)


@pytest.mark.parametrize("framework", _frameworks.FRAMEWORKS, ids=lambda one: one.name)
def test_framework_in_use_is_detected(framework, monkeypatch):
    """Every framework the exporter sees in use is what the server detects, by import."""
    for name in (framework.roots[0][0], "deepspeed", "accelerate"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    module, _, path = framework.proofs[0].partition(":")
    proof = types.ModuleType(module)
    if path:
        *classes, name = path.split(".")
        holder = type(classes[0], (), {name: {"a": 1}}) if classes else {"a": 1}
        vars(proof)[classes[0] if classes else name] = holder
    monkeypatch.setitem(sys.modules, module.replace(".*", ""), proof)
    monkeypatch.setitem(sys.modules, module.replace("*", "part"), proof)
    detection = detect(posted({})[1])
    assert (detection.framework, detection.layer) == (framework.name, framework.layer)
    assert (detection.method, detection.confidence) == ("import", 0.90)


def test_nothing_is_lost_on_the_way():
    """Evidence decoded by the server and written again is what the exporter sent."""
    sent, read = posted({"PRIMUS_BACKEND": "megatron", "RANK": "0"})
    written = msgspec.to_builtins(read)
    assert written["evidence"] == sent["evidence"]
    assert written["hints"] == sent["hints"]


def test_the_tables_agree():
    """Both tables name the same frameworks, in the same layers and the same order."""
    known = [(rule.name, rule.layer.value) for rule in rules.RULES if not rule.library]
    assert [(one.name, one.layer) for one in _frameworks.FRAMEWORKS] == known


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.name)
def test_documented(rule):
    """Every framework and every variable a rule reads is in the users' table."""
    page = (pathlib.Path(__file__).parents[3] / "docs" / "frameworks.md").read_text()
    shown = set(rule.env_vars) | set(rule.config) | (set() if rule.library else {rule.name})
    assert {name for name in shown if f"`{name}`" not in page} == set()


def test_every_variable_of_a_rule_is_sent():
    """The server has no rule on a variable that the exporter would not send."""
    assert {name for rule in rules.RULES for name in rule.env_vars} <= _redaction.ENVIRONMENT


def test_every_setting_of_a_rule_is_sent():
    """The server has no rule on a setting that the exporter would not send."""
    read = {"framework", "base_framework", "trainer"}
    assert read | {name for rule in rules.RULES for name in rule.config} <= _redaction.CONFIG
