"""The command `primus-lens`, as a process of its own."""

import contextlib
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from primus_lens import cli
from primus_lens.settings import ServerSettings

PACKAGE = Path(__file__).parents[2] / "packages" / "server"


def command(*words):
    """What the command says to some words, once it has ended by itself."""
    return subprocess.run(
        [sys.executable, "-m", "primus_lens", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_version_is_told():
    """`--version` tells the version of the distribution."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    done = command("--version")
    assert done.returncode == 0
    assert done.stdout.strip().endswith(project["version"])


def test_port_in_use_is_told():
    """A port that is taken ends the command in words, before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = command("serve", "--port", port)
    assert done.returncode == 2
    assert done.stderr.startswith(f"primus-lens: cannot listen on 127.0.0.1:{port}: ")
    assert "Address already in use" in done.stderr


def test_name_that_is_no_address_is_told():
    """A host that means nothing here is told."""
    done = command("serve", "--host", "no such host")
    assert done.returncode == 2
    assert done.stderr.startswith("primus-lens: cannot listen on no such host:8080: this machine")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host, reached", [("::1", ["::1"]), ("::", ["::1", "127.0.0.1"])])
def test_addresses_of_ipv6_are_served(host, reached):
    """An IPv6 address is listened on; that of all addresses takes IPv4, too."""
    with contextlib.closing(cli._listen(ServerSettings(host, 0))) as listening:
        for address in reached:
            socket.create_connection((address, listening.getsockname()[1])).close()


def test_configuration_that_is_missing_is_told(tmp_path):
    """A file that is not there ends the command in words."""
    done = command("serve", "--config", str(tmp_path / "absent.yaml"))
    assert done.returncode == 2
    assert done.stderr.startswith(f"primus-lens: {tmp_path / 'absent.yaml'} cannot be read")


def test_no_traceback_for_what_a_person_can_mend(tmp_path):
    """A wrong configuration is one sentence."""
    path = tmp_path / "config.yaml"
    path.write_text("server: {port: high}")
    done = command("serve", "--config", str(path))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_address_of_the_machine_is_served_when_told_so(make_server):
    """`--insecure` allows it: the server answers under any name then."""
    everywhere = "0.0.0.0"  # noqa: S104 - the fact under test
    config = "metrics: {prometheus: {enabled: false}}"
    running = make_server(config, "--host", everywhere, "--insecure")
    assert running.start().is_ready()
