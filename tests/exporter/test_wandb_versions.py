"""Old and new versions of wandb, each in an environment of its own (made on first use, from PyPI).

`make matrix` runs them all; the latest is what the other tests run on.
"""

import subprocess

import matrix
import pytest
from wandb.proto import wandb_internal_pb2 as pb

from primus_lens_wandb_exporter import _frames, _intercept
from primus_lens_wandb_exporter._unspool import Reading


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel built from this checkout."""
    return matrix.build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.mark.wandb
@pytest.mark.timeout(300)
@pytest.mark.parametrize("version", ["0.16.6", "0.19.11", "0.23.1"])
def test_every_point_is_what_that_version_wrote(version, wheel, tmp_path):
    """On an older wandb, too, each scenario's points equal its .wandb file."""
    try:
        python = matrix.environment(version, wheel)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no environment with wandb {version} could be made: {error}")
    outcome = matrix.run(version, python, tmp_path)
    assert outcome.differences == []
    assert outcome.points > 9000


@pytest.mark.parametrize(
    "version, first",
    [
        ("0.15.12", []),
        ("0.17.9", []),
        ("0.18.0", ["epoch"]),
        ("0.31.0", ["epoch"]),
        ("?", ["epoch"]),
    ],
)
def test_a_step_metric_starts_at_zero_since_the_service_is_not_python(version, first):
    """Before 0.18 wandb copies a step metric only once it was logged; since then, 0 before that."""
    kind = _intercept._records(version)["_publish_metric"]
    options = pb.MetricOptions(step_sync=True)
    metric = pb.MetricRecord(name="loss", step_metric="epoch", options=options)
    row = pb.PartialHistoryRequest(item=[pb.HistoryItem(key="loss", value_json="1")])
    reading = Reading()
    reading.record(_frames.Frame(kind, 0, 1, 0, metric.SerializeToString()))
    reading.record(_frames.Frame(_frames.ROW, 0, 2, 0, row.SerializeToString()))
    copied = reading.record(_frames.Frame(_frames.EXIT, 0, 3, 0, b'{"exit_code": 0, "at": 1.0}'))
    assert copied.points == [f'{{"name":"{name}","value":0,"step":0}}' for name in first]
