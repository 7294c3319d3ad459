"""A workload whose metrics have the names that trip clients up."""

import odd_names
import pytest


@pytest.fixture(scope="session")
def odd_server(server):
    """The session's server with that workload."""
    assert server.post("/wandb/metrics", odd_names.report()).status_code == 200
    return server
