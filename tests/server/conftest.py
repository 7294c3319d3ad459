"""What the tests of the server share beside its real parts."""

import socket

import pytest


@pytest.fixture
def free_ports():
    """Names ports that nobody listens on just now."""

    def free_port():
        with socket.create_server(("127.0.0.1", 0)) as listening:
            return listening.getsockname()[1]

    return free_port
