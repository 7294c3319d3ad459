"""Real parts: a receiver on a local port, and jobs that run wandb in a process of their own."""

import sys
from pathlib import Path

import pytest

from primus_lens_wandb_exporter import _guard, _settings, _transport

sys.path.insert(0, str(Path(__file__).parent))  # receiver, job and oracle, in importlib mode too


def pytest_collection_modifyitems(items):
    """Mark the tests that run wandb."""
    for item in items:
        if "job" in getattr(item, "fixturenames", ()):
            item.add_marker("wandb")


@pytest.fixture(autouse=True)
def _guards_hide_nothing(monkeypatch):
    """An error of ours fails the test that meets it."""
    monkeypatch.setattr(_guard, "reraise", True)


@pytest.fixture
def receiver():
    """A server that accepts everything until told otherwise. All that it is sent is JSON."""
    from receiver import Receiver  # noqa: PLC0415 - found by the path above

    server = Receiver()
    yield server
    server.close()
    assert server.unreadable == []


@pytest.fixture
def job(tmp_path, receiver):
    """A place to run training scripts that report to the receiver."""
    from job import Job  # noqa: PLC0415 - found by the path above

    return Job(tmp_path, receiver.url)


@pytest.fixture
def transport():
    """Makes transports to a URL, closed at the end of the test."""
    made = []

    def make(url, **variables):
        settings = _settings.read({"PRIMUS_LENS_API_BASE_URL": url, **variables})
        made.append(_transport.Transport(settings.base_url, settings))
        return made[-1]

    yield make
    for one in made:
        one.close()
