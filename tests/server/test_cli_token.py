"""`primus-lens token create | list | revoke`, and a `serve` that needs one."""

import asyncio
import re
import subprocess
import sys

import httpx
import pytest
from serving import NO_SELF_METRICS

from primus_lens import assembly
from primus_lens.model.errors import ConfigError

EVERYWHERE = "0.0.0.0"  # noqa: S104 - the fact under test
REQUIRED = f"{NO_SELF_METRICS}access: {{required: true}}\n"
TOKEN = re.compile(r"lens_[a-z0-9]{10}_[0-9a-f]{64}")


@pytest.fixture
def config(tmp_path, database_dsn):
    """A configuration file on a database of the test's own."""
    path = tmp_path / "config.yaml"
    path.write_text(f"{REQUIRED}database: {{dsn: '{database_dsn}'}}\n")
    return path


def command(*words):
    """What the command says to some words."""
    return subprocess.run(
        [sys.executable, "-m", "primus_lens", "token", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def made(*words):
    """A new token."""
    done = command("create", *words)
    assert done.returncode == 0, done.stderr
    assert TOKEN.fullmatch(done.stdout.removesuffix("\n"))  # alone, for a script to take
    return done.stdout.strip()


def answers(server, token):
    """The status of a reader with this token."""
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{server.url}/api/v1/workloads", headers=headers).status_code


def test_list_tells_all_but_the_secrets(config):
    """The list has id, state, scopes and name of every token, and no secret."""
    place = ("--config", str(config))
    first = made("--scope", "read", "--scope", "ingest", "--name", "team-a", *place)
    second = made("--scope", "admin", "--expires", "90d", *place)
    revoked = command("revoke", second, *place)  # whole, as somebody found it
    assert revoked.stdout == f"The token {second.split('_')[1]} is revoked.\n"

    told = command("list", *place).stdout
    lines = {line.split()[0]: line for line in told.splitlines()}
    assert re.search(r" works +ingest,read +20.* never +never +team-a$", lines[first.split("_")[1]])
    assert re.search(r" revoked +admin +20.* 20.* never$", lines[second.split("_")[1]])
    assert not [token for token in (first, second) if token.split("_")[2] in told]


def test_unknown_token_cannot_be_revoked(config):
    """A slip of the pen is told, and ends with an error."""
    done = command("revoke", "nobody", "--config", str(config))
    assert done.returncode == 2
    assert done.stderr.startswith("primus-lens: there is no token nobody")


@pytest.mark.parametrize("expires", ["3x", "0d", "-1d", "90", "999999999999w"])
def test_time_that_is_none_is_refused(config, expires):
    """`--expires` says what it understands."""
    done = command("create", "--scope", "read", "--expires", expires, "--config", str(config))
    assert done.returncode == 2
    assert "write a number and s, m, h, d or w, as in 90d" in done.stderr


def test_token_must_be_for_something(config):
    """A token without a scope is not made."""
    done = command("create", "--config", str(config))
    assert done.returncode == 2
    assert "--scope" in done.stderr


def test_embedded_database_beside_its_server(make_server):
    """While a server runs, tokens are made through the socket of its PostgreSQL."""
    server = make_server(REQUIRED).start()
    token = made("--scope", "read", "--data-dir", str(server.data_directory))
    assert answers(server, token) == 200


def test_embedded_database_without_a_server(make_server):
    """Before the first server a command starts the PostgreSQL and stops it when it is done."""
    server = make_server(REQUIRED)
    token = made("--scope", "read", "--data-dir", str(server.data_directory))
    assert not (server.data_directory / "postgres" / "postmaster.pid").exists()
    assert answers(server.start(), token) == 200


def test_embedded_database_of_a_starting_server_is_waited_for(tmp_path):
    """A server holds the directory before its PostgreSQL tells where its socket is."""
    told = tmp_path / "postgres" / "postmaster.pid"
    told.parent.mkdir()

    async def waiting():
        found = asyncio.create_task(assembly._dsn_of_running(tmp_path))
        await asyncio.sleep(0)  # it looks: there is nothing
        told.write_text(f"1\n{told.parent}\n1\n5432\n/run/lens\n")
        return await found

    assert "host=/run/lens" in asyncio.run(waiting())


def test_embedded_database_that_never_starts_is_given_up(tmp_path, monkeypatch):
    """A directory that is held without a PostgreSQL in it is told, after a minute."""
    monkeypatch.setattr(assembly, "_SOCKET_WITHIN_S", -1.0)
    with pytest.raises(ConfigError, match="in use, but no PostgreSQL has come up"):
        asyncio.run(assembly._dsn_of_running(tmp_path))


@pytest.mark.parametrize("in_the_file", [False, True])
def test_other_machines_need_a_token_to_exist(make_server, in_the_file):
    """Beyond loopback the server refuses to start without tokens; the command it names mends it."""
    place = f"server: {{host: '{EVERYWHERE}'}}\n" if in_the_file else ""
    options = () if in_the_file else ("--host", EVERYWHERE)
    server = make_server(NO_SELF_METRICS + place, *options)
    with pytest.raises(pytest.fail.Exception, match=f"{EVERYWHERE} is reachable from") as refusal:
        server.start()
    assert server.process.returncode == 2

    named = re.search(r"`primus-lens token create (.*?)`", str(refusal.value))[1]
    token = made(*named.split())
    server.start()
    assert answers(server, token) == 200
    assert server.get("/workloads").status_code == 401


def test_revoked_token_opens_no_server(make_server, config):
    """A server for other machines needs a token that works, not one that did."""
    token = made("--scope", "read", "--config", str(config))
    assert command("revoke", token, "--config", str(config)).returncode == 0
    server = make_server(config.read_text(), "--host", EVERYWHERE)
    with pytest.raises(pytest.fail.Exception, match="no token exists"):
        server.start()
