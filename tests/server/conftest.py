"""What the tests of the server share beside its real parts."""

import socket

import hypothesis
import pytest

# A shared machine may take any time for one example; how long it takes is no fact under test.
hypothesis.settings.register_profile("lens", deadline=None)
hypothesis.settings.load_profile("lens")


@pytest.fixture
def free_ports():
    """Names ports that nobody listens on just now."""

    def free_port():
        with socket.create_server(("127.0.0.1", 0)) as listening:
            return listening.getsockname()[1]

    return free_port
