import os
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "packages" / "exporter"
HOOKS = ("primus_lens_wandb_hook.pth", "primus_lens_wandb_hook.start")
ARMED = "import sys; print(sys.meta_path.count(getattr(sys, '_primus_lens', None)))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    pip(sys.executable, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, PACKAGE)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture
def python(tmp_path):
    """The interpreter of an empty virtual environment."""
    venv.create(tmp_path / "env", symlinks=True)
    return tmp_path / "env" / "bin" / "python"


def pip(python, *words, **variables):
    """Run this environment's pip on behalf of another Python."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    target = [] if python == sys.executable else ["--python", python]
    subprocess.run(
        [*command, *target, *words],
        check=True,
        capture_output=True,
        env={**os.environ, **variables},
    )


def run(python, *words, **variables):
    """Run a Python that must say nothing on stderr; returns its stdout."""
    env = {name: text for name, text in os.environ.items() if not name.startswith("PRIMUS_LENS")}
    done = subprocess.run(
        [python, *words], check=True, capture_output=True, text=True, env={**env, **variables}
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_wheel_carries_both_lines_at_its_root(wheel):
    """The wheel itself holds the .pth and the .start file, so whatever unpacks it activates it."""
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in HOOKS if name in names] == list(HOOKS)


def test_uninstalling_removes_both_lines(wheel, python, tmp_path):
    """Uninstalling leaves neither the .pth nor the .start file behind."""
    pip(python, "install", "--no-deps", "--no-index", wheel)
    packages = next(tmp_path.glob("env/lib/python*/site-packages"))
    before = sorted(path.name for path in packages.glob("primus_lens_wandb*"))
    pip(python, "uninstall", "--yes", "primus-lens-wandb-exporter")
    assert {*HOOKS, "primus_lens_wandb_exporter"} <= set(before)
    assert list(packages.glob("primus_lens*")) == []


@pytest.mark.parametrize("flags", [(), ("-I",), ("-E",), ("-s",), ("-OO",)])
def test_installed_hook_is_armed_once(wheel, python, flags):
    """One finder waits in sys.meta_path however Python is started, though .pth lines run twice."""
    pip(python, "install", "--no-deps", "--no-index", wheel)
    assert run(python, *flags, "-c", ARMED) == "1"


def doctor(python):
    """What doctor says of an environment, line by line; no server is asked."""
    command = [python, "-m", "primus_lens_wandb_exporter", "doctor"]
    env = {"PRIMUS_LENS_WANDB_API_REPORTING": "no"}
    done = subprocess.run(command, env=env, check=False, capture_output=True, text=True, cwd="/")
    return done.stdout.splitlines()


def test_doctor_knows_a_line_that_was_changed(wheel, python, tmp_path):
    """A .pth file that is not what was installed, or is gone, is told."""
    pip(python, "install", "--no-deps", "--no-index", wheel)
    assert any(line.startswith("ok   .pth line:") for line in doctor(python))
    [line] = tmp_path.glob("env/lib/python*/site-packages/primus_lens_wandb_hook.pth")
    line.write_text(line.read_text() + "# more\n")
    assert any("NOT what was installed" in said for said in doctor(python))
    line.unlink()
    said = doctor(python)
    assert any(line.startswith("BAD  hook: not armed") for line in said)
    assert any("No such file" in line for line in said if line.startswith("BAD  .pth line:"))
    assert any("taps: wandb cannot be imported here" in line for line in said)


def test_without_site_nothing_is_armed(wheel, python):
    """Python -S reads no .pth file: there the public install_wandb_hook() is the way."""
    pip(python, "install", "--no-deps", "--no-index", wheel)
    assert run(python, "-S", "-c", ARMED) == "0"


def test_editable_install_is_active_too(python):
    """A developer's editable install arms the hook like the wheel does."""
    builder = site.getsitepackages()[0]  # the build backend is here, not in the empty environment
    words = ("install", "--no-deps", "--no-build-isolation", "--editable", PACKAGE)
    pip(python, *words, PYTHONPATH=builder)
    assert run(python, "-c", ARMED) == "1"


@pytest.mark.parametrize("word", ["false", "0", "no", "off", "FALSE", " False "])
def test_switch_leaves_nothing_but_the_line(wheel, python, word):
    """PRIMUS_LENS_WANDB_HOOK=false: asked for wandb, the finder goes away and nothing is loaded."""
    pip(python, "install", "--no-deps", "--no-index", wheel)
    ours = "[n.rpartition('.')[2] for n in sys.modules if n.startswith('primus_lens')]"
    code = f"import importlib.util as u; u.find_spec('wandb'); {ARMED}; print({ours})"
    found = run(python, "-c", code, PRIMUS_LENS_WANDB_HOOK=word)
    assert found == "0\n['primus_lens_wandb_exporter', '_activate']"


def test_start_without_wandb_imports_nothing_of_ours(wheel, python):
    """A Python that never asks for wandb loads no module of ours."""
    pip(python, "install", "--no-deps", "--no-index", wheel)
    code = "import sys, json, os; print([n for n in sys.modules if n.startswith('primus')])"
    assert run(python, "-c", code) == "[]"


def test_a_broken_installation_says_nothing(wheel, python, tmp_path):
    """With the package's modules gone the line still lets wandb be looked for, in silence."""
    pip(python, "install", "--no-deps", "--no-index", wheel)
    packages = next(tmp_path.glob("env/lib/python*/site-packages"))
    for module in (packages / "primus_lens_wandb_exporter").glob("*.py"):
        module.unlink()
    code = "import importlib.util; print(importlib.util.find_spec('wandb'))"
    assert run(python, "-c", code) == "None"
