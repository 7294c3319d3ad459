"""install.sh puts one version into one Python, again and again with the same result."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "packages" / "exporter"
SCRIPT = PACKAGE / "install.sh"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "-w", folder, PACKAGE], check=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of an environment with pip."""
    folder = tmp_path_factory.mktemp("env")
    venv.create(folder, symlinks=True, with_pip=True)
    return folder / "bin" / "python"


def install(*words, piped=False):
    """Run the script; returns (status, stdout, stderr)."""
    command = ["sh", "-s", "--"] if piped else ["sh", SCRIPT]
    done = subprocess.run(
        [*command, *words],
        input=SCRIPT.read_text() if piped else None,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "PIP_NO_INDEX": "1"},
    )
    return done.returncode, done.stdout, done.stderr


def armed(python):
    """Say whether the hook is in place in this Python."""
    code = "import sys; print(hasattr(sys, '_primus_lens'))"
    done = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip() == "True"


def test_installing_twice_and_uninstalling(python, wheel):
    """Installing, also twice and through a pipe, activates the hook; uninstalling removes it."""
    for piped in (False, True):
        status, out, err = install("--python", python, "--wheel", wheel, piped=piped)
        assert (status, err) == (0, "")
        assert "is active in" in out
        assert armed(python)
    status, out, err = install("--python", python, "--uninstall")
    assert (status, out, err) == (0, "primus-lens-wandb-exporter is uninstalled\n", "")
    assert not armed(python)


def test_dry_run_changes_nothing(python, wheel):
    """--dry-run names the command and runs nothing."""
    status, out, _ = install("--python", python, "--wheel", wheel, "--dry-run")
    assert status == 0
    assert out.startswith("would run: ")
    assert not armed(python)


def test_the_version_is_pinned(python):
    """Without --wheel exactly the script's own version is asked for."""
    _, out, _ = install("--python", python, "--dry-run")
    assert "primus-lens-wandb-exporter==0.1.0" in out
    from primus_lens_wandb_exporter import __version__  # noqa: PLC0415 - only here

    assert f"VERSION={__version__}\n" in SCRIPT.read_text()


@pytest.mark.parametrize(
    "words, said",
    [
        (("--sudo",), "unknown option --sudo"),
        (("--python", "no-such-python"), "no-such-python is not there"),
        (("--wheel", "/no/such.whl"), "/no/such.whl is not there"),
        (("--version",), "--version needs a version"),
    ],
)
def test_mistakes_are_named(words, said):
    """A wrong option or a missing file ends with a sentence and status 1."""
    status, _, err = install(*words)
    assert status == 1
    assert said in err


def test_a_download_cut_short_does_nothing(python, wheel):
    """Cut anywhere before its last line, the piped script installs nothing."""
    text = SCRIPT.read_text()
    for cut in (len(text) // 2, len(text) - len('main "$@"\n')):
        done = subprocess.run(
            ["sh", "-s", "--", "--python", python, "--wheel", wheel],
            input=text[:cut],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "is active" not in done.stdout
        assert not armed(python)
