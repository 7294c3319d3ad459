import json
import pathlib

import msgspec
import pytest

from primus_lens.detection.decide import detect
from primus_lens.model.detections import DetectionRequest

EXAMPLES = pathlib.Path(__file__).parents[3] / "protocol" / "v1" / "examples"
GOOD = sorted(EXAMPLES.glob("good/detection-*.json"))
BAD = sorted(EXAMPLES.glob("bad/detection-*.json"))


def decoded(path):
    """An example's body, as the ingest decodes it."""
    body = json.loads(path.read_text())["body"]
    return msgspec.json.decode(json.dumps(body).encode(), type=DetectionRequest)


def test_there_are_examples():
    """The protocol shows a detection report with evidence and one without."""
    assert {path.stem for path in GOOD} >= {"detection-spec-a1", "detection-no-evidence"}


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_nothing_of_an_example_is_lost(path):
    """A good report, decoded and written again, still says everything it said."""
    body = json.loads(path.read_text())["body"]
    written = msgspec.to_builtins(decoded(path))
    assert {key: written.get(key, {}) for key in body} == body


def test_specification_example():
    """The specification's A.1 is Primus over Megatron, by import, at .90."""
    detection = detect(decoded(EXAMPLES / "good" / "detection-spec-a1.json"))
    assert msgspec.json.decode(msgspec.json.encode(detection)) == {
        "framework": "primus",
        "layer": "wrapper",
        "wrapper_framework": "primus",
        "base_framework": "megatron",
        "confidence": 0.90,
        "method": "import",
        "indicators": ["import.primus", "primus.base_framework=megatron", "import.megatron"],
    }


def test_report_without_evidence():
    """A job that shows nothing is a valid report without a framework."""
    assert detect(decoded(EXAMPLES / "good" / "detection-no-evidence.json")) is None


@pytest.mark.parametrize(
    "path", sorted(EXAMPLES.glob("bad/detection-*.json")), ids=lambda p: p.stem
)
def test_bad_example_is_refused(path):
    """A bad report is refused for the field the protocol names."""
    example = json.loads(path.read_text())
    with pytest.raises(msgspec.ValidationError, match=example["expect"]["field"]):
        decoded(path)
