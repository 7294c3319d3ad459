"""Frameworks in an environment of their own: `make integrations` makes it and runs these tests."""

import subprocess
import sys
from pathlib import Path

import pytest

PYTHON = Path(__file__).parents[3] / ".venv" / "integrations" / "bin" / "python"
MADE = PYTHON.parents[1] / "made.done"


@pytest.fixture(scope="session")
def python(tmp_path_factory):
    """The interpreter that has the frameworks, with the wheel of this checkout installed."""
    if not MADE.exists():
        pytest.skip("the environment of the frameworks is not made; run: make integrations")
    import matrix  # noqa: PLC0415 - found by the path the parent's conftest sets

    wheel = matrix.build_wheel(tmp_path_factory.mktemp("wheel"))
    command = [sys.executable, "-m", "uv", "--quiet", "pip", "install", "--python", str(PYTHON)]
    subprocess.run([*command, "--no-deps", "--reinstall", str(wheel)], check=True)
    return PYTHON


@pytest.fixture
def job(python, tmp_path, receiver):
    """A place to run training scripts with the frameworks; no hub, no GPU."""
    from job import Job  # noqa: PLC0415 - as above

    found = Job(tmp_path, receiver.url, python)
    found.env.update(HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="", KERAS_BACKEND="torch")
    return found
