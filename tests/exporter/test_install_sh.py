"""The installation script, with real virtual environments and a wheel of this checkout."""

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import matrix
import pytest

import primus_lens_wandb_exporter

SCRIPT = Path(__file__).parents[2] / "packages" / "exporter" / "install.sh"
SHELLS = [shell for shell in ("sh", "dash", "bash", "busybox") if shutil.which(shell)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel built from this checkout."""
    return matrix.build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def empty_environment(tmp_path_factory):
    """A virtual environment with pip and nothing else, to be copied."""
    folder = tmp_path_factory.mktemp("env") / "env"
    venv.create(folder, with_pip=True, symlinks=True)
    return folder


@pytest.fixture
def environment(empty_environment, tmp_path):
    """A virtual environment of this test alone; paths inside it are found by its place."""
    return Path(shutil.copytree(empty_environment, tmp_path / "env", symlinks=True))


def variables(environment, **more):
    """Return the environment of a shell in which this virtual environment is active."""
    return {
        "PATH": f"{environment}/bin:{os.environ['PATH']}",
        "VIRTUAL_ENV": str(environment),
        "HOME": str(environment.parent),
        "PIP_NO_INDEX": "1",
        **more,
    }


def install(environment, *words, shell="sh", status=0, **more):
    """Run the script; returns what it said."""
    done = subprocess.run(
        [shell, SCRIPT, *words],
        env=variables(environment, **more),
        check=False,
        capture_output=True,
        text=True,
        cwd=environment,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def files(environment):
    """Return every path of an environment that a look at it does not change."""
    found = (path.relative_to(environment) for path in environment.rglob("*"))
    return {path for path in found if "__pycache__" not in path.parts}


def is_active(environment):
    """Whether a new interpreter of the environment watches for wandb."""
    code = "import sys; print(getattr(sys, '_primus_lens', None) in sys.meta_path)"
    done = subprocess.run(
        [environment / "bin" / "python", "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd="/",
    )
    return done.stdout == "True\n"


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
def test_every_posix_shell_can_read_it(shell):
    """The script parses in each shell that is here."""
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n", SCRIPT], check=True)


def test_it_installs_this_version():
    """The version the script pins is the package's own."""
    (pinned,) = re.findall(r"^VERSION=(\S+)$", SCRIPT.read_text(), re.MULTILINE)
    assert pinned == primus_lens_wandb_exporter.__version__


def test_install_makes_the_hook_active(environment, wheel):
    """After it ran, a new Python of the active environment watches for wandb."""
    said = install(environment, "--from", wheel)
    assert is_active(environment)
    assert f"is active in {environment}/bin/python" in said


def test_uninstall_leaves_what_was_there(environment, wheel):
    """Uninstalling removes every file the installation made."""
    before = files(environment)
    install(environment, "--from", wheel.parent)
    assert files(environment) > before
    install(environment, "--uninstall")
    assert files(environment) == before
    assert not is_active(environment)


def test_a_second_run_changes_nothing(environment, wheel):
    """Installing and removing may each be repeated; the repetition says there is nothing to do."""
    install(environment, "--from", wheel)
    assert "installed already and active" in install(environment)
    assert "is active in" in install(environment, "--from", wheel)
    install(environment, "--uninstall")
    assert "nothing to remove" in install(environment, "--uninstall")


@pytest.mark.parametrize("words", [(), ("--uninstall",)])
def test_dry_run_changes_nothing(environment, wheel, words):
    """--dry-run says the command it would run and leaves the environment alone."""
    if words:
        install(environment, "--from", wheel)
    before = files(environment)
    said = install(environment, "--dry-run", *words)
    assert f"would run: {environment}/bin/python -m pip" in said
    assert files(environment) == before


@pytest.mark.parametrize("shell", SHELLS)
def test_it_works_when_piped(environment, wheel, shell):
    """Read from a pipe, as after a download, it takes options and installs."""
    command = [shell, "-s", "--", "--from", wheel]
    if shell == "busybox":
        command.insert(1, "sh")
    subprocess.run(
        command,
        env=variables(environment),
        check=True,
        capture_output=True,
        input=SCRIPT.read_bytes(),
        cwd=environment,
    )
    assert is_active(environment)


def test_a_download_cut_short_does_nothing(environment):
    """A script that ends before its last line runs nothing."""
    text = SCRIPT.read_text()
    done = subprocess.run(
        ["sh"],
        env=variables(environment),
        check=False,
        capture_output=True,
        text=True,
        input=text[: text.rindex("main ")],
        cwd=environment,
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_a_given_python_wins(environment, wheel, tmp_path):
    """--python names the interpreter, whatever is active."""
    other = tmp_path / "other"
    venv.create(other, symlinks=True)
    said = install(
        environment,
        "--python",
        other / "bin" / "python",
        "--from",
        wheel,
        status=1,
        PATH="/usr/bin",
    )
    assert "has no pip" in said
    assert not is_active(environment)


def test_an_environment_without_pip_is_served_by_uv(wheel, tmp_path):
    """Where the environment has no pip but uv is there, uv installs and removes."""
    environment = tmp_path / "env"
    venv.create(environment, symlinks=True)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    more = {"PATH": path, "UV_OFFLINE": "1"}
    install(environment, "--from", wheel, **more)
    assert is_active(environment)
    install(environment, "--uninstall", **more)
    assert not is_active(environment)


@pytest.mark.parametrize("word", ["false", "Off"])
def test_a_switched_off_hook_is_told(environment, wheel, word):
    """With PRIMUS_LENS_WANDB_HOOK=false around, the script says that jobs report nothing."""
    said = install(environment, "--from", wheel, PRIMUS_LENS_WANDB_HOOK=word)
    assert "jobs with it report nothing" in said


@pytest.mark.parametrize(
    "words, said",
    [
        (("--sudo",), "unknown option --sudo"),
        (("--from",), "--from needs a path"),
        (("--version",), "--version needs a version"),
        (("--from", "/nowhere.whl"), "/nowhere.whl is not there"),
        (("--python", "/nowhere"), "/nowhere is not there"),
        ((), "this failed"),  # there is no index in these tests
    ],
)
def test_what_cannot_be_done_is_said(environment, words, said):
    """A wrong option or a failed step ends with a sentence and a status that is not 0."""
    assert said in install(environment, *words, status=1)
    assert not is_active(environment)
