"""Directories for embedded servers that the account of PostgreSQL can reach."""

import asyncio
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from clusters import end_processes, fill

from primus_lens.store import (
    embedded_programs,
)


@pytest.fixture(scope="module")
def open_place():
    """A directory any account may enter (tmp_path is not).

    All is deleted at the end: ext4 takes seconds to make files where many were just deleted.
    """
    directory = Path(tempfile.mkdtemp(prefix="lens-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def template(open_place):
    """Where a server ran and was stopped, with one row in it."""
    directory = open_place / "template"
    asyncio.run(fill(directory / "data"))
    return directory


@pytest.fixture
def place(open_place):
    """A directory of the test's own; no process survives it."""
    directory = Path(tempfile.mkdtemp(dir=open_place))
    directory.chmod(0o755)
    yield directory
    end_processes(directory)


@pytest.fixture
def data(place):
    """The data directory, not made yet."""
    return place / "data"


@pytest.fixture
def initialised(template):
    """A stopped server's directory with the row 1; shared, so tests leave its rows alone."""
    yield template / "data"
    end_processes(template)


@pytest.fixture
def sleeper(initialised):
    """A live process of PostgreSQL's account, in its directory, that is another program."""
    account = embedded_programs.account_for(initialised)
    process = subprocess.Popen(
        ["sleep", "60"], cwd=initialised / "postgres", **embedded_programs.as_account(account)
    )
    yield process
    process.kill()
    process.wait()
