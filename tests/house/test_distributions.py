"""What is shipped: versions, papers, and where it comes from."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"server": "primus_lens", "exporter": "primus_lens_wandb_exporter"}


@pytest.fixture(params=PACKAGES)
def package(request):
    """One of the two distributions: its folder and its import name."""
    return ROOT / "packages" / request.param, PACKAGES[request.param]


def test_versions_agree(package):
    """A distribution and the package in it tell the same version."""
    folder, name = package
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    source = (folder / "src" / name / "__init__.py").read_text()
    assert f'__version__ = "{project["version"]}"' in source


@pytest.mark.parametrize("paper", ["README.md", "CHANGELOG.md", "LICENSE"])
def test_distribution_brings_its_papers(package, paper):
    """Each distribution says what it is, what changed and under which terms."""
    assert (package[0] / paper).read_text().strip()


def test_changelog_tells_of_the_version(package):
    """The version that is shipped has its place in the changelog."""
    folder, _ = package
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert f"## [{project['version']}]" in (folder / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("file", ["constraints.txt", "tools/mypy39.txt"])
def test_pins_hold_no_address(file):
    """Pins are versions and hashes; where packages come from is the installing machine's affair."""
    text = (ROOT / file).read_text()
    assert not [line for line in text.splitlines() if re.search(r"://|@ |/work|/opt|^-", line)]


@pytest.mark.parametrize("file", ["constraints.txt", "tools/mypy39.txt"])
def test_every_pin_has_a_hash(file):
    """Each pinned version names the archives it may be installed from."""
    entries = re.split(r"^(?=\S)", (ROOT / file).read_text(), flags=re.MULTILINE)
    pins = [entry for entry in entries if entry.strip()]
    assert pins
    assert [pin for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []
