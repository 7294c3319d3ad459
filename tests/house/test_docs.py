"""The documents say what the code does: nothing is missing, nothing leads nowhere."""

import ast
import asyncio
import importlib
import inspect
import json
import pkgutil
import re
from pathlib import Path

import msgspec
import pytest
from fastapi import FastAPI

import primus_lens.model
from primus_lens import settings
from primus_lens.model import errors
from primus_lens.query import curves, drawing
from primus_lens.routes import (
    grafana,
    live,
    openapi,
    operations,
    wandb_v1,
    watching,
    workload_metrics,
)

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
EXPORTER = ROOT / "packages" / "exporter" / "src" / "primus_lens_wandb_exporter"
ADRS = sorted((DOCS / "adr").glob("*.md"))
PAPERS = [
    path
    for pattern in ("*.md", "docs/**/*.md", "packages/*/*.md", "protocol/**/*.md", "deploy/**/*.md")
    for path in sorted(ROOT.glob(pattern))
]
SECTIONS = ("Context", "Choice", "What was measured", "What would change our mind")


def fields(group, place=""):
    """Every setting of a group: its dotted name and its default."""
    for field in msgspec.structs.fields(group):
        name = f"{place}{field.name}"
        default = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
        if isinstance(default, settings.Group):
            yield from fields(type(default), f"{name}.")
        else:
            yield name, default


@pytest.mark.parametrize("name, default", list(fields(settings.Settings)))
def test_setting_is_documented_with_its_default(name, default):
    """Each field of the configuration has a row with its default."""
    shown = default if isinstance(default, str) else json.dumps(default)
    rows = [
        line
        for line in (DOCS / "configuration.md").read_text().splitlines()
        if line.startswith(f"| `{name}` |")
    ]
    assert len(rows) == 1
    assert f"| `{shown}` |" in rows[0] or (shown == "" and "| empty |" in rows[0])


def exporter_variables():
    """Every environment variable that steers the exporter or says who reports."""
    found = set()
    for path in EXPORTER.glob("*.py"):
        texts = {
            node.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        pattern = r"[A-Z][A-Z_]+" if path.name == "_identity.py" else r"PRIMUS_LENS_[A-Z_]+"
        found |= {text for text in texts if re.fullmatch(pattern, text)}
    return sorted(found)


@pytest.mark.parametrize("name", exporter_variables())
def test_variable_of_the_exporter_is_documented(name):
    """Each variable the exporter reads is named."""
    assert f"`{name}`" in (DOCS / "configuration.md").read_text()


def model_classes():
    """Every class and type of primus_lens.model."""
    for module in pkgutil.iter_modules(primus_lens.model.__path__, "primus_lens.model."):
        for name, value in vars(importlib.import_module(module.name)).items():
            own = getattr(value, "__module__", "") == module.name
            if own and (inspect.isclass(value) or hasattr(value, "__supertype__")):
                yield name


@pytest.mark.parametrize("name", sorted(set(model_classes())))
def test_class_of_the_model_is_in_the_glossary(name):
    """Each noun of the code is defined in a sentence."""
    assert re.search(rf"^- \*\*{name}\*\*", (DOCS / "GLOSSARY.md").read_text(), re.MULTILINE)


def openapi_paths():
    """The paths of the OpenAPI document of a server with every role."""
    app = FastAPI()
    app.include_router(operations.router(lambda: None))
    app.include_router(workload_metrics.WorkloadMetrics({}, "").router())
    app.include_router(grafana.GrafanaEndpoints(None, settings.LimitSettings()).router())
    app.include_router(
        watching.WatchEndpoints(None, settings.Thresholds(), settings.LimitSettings()).router()
    )
    app.include_router(live.LiveEndpoints({}, "", asyncio.Event()).router())
    bodies = {f"{wandb_v1.PREFIX}/{kind}": body for kind, body in wandb_v1.MESSAGES.items()}
    openapi.describe(app, bodies)
    return app.openapi()["paths"]


def endpoints():
    """Every method and path."""
    paths = openapi_paths().items()
    return [f"{method.upper()} {path}" for path, methods in paths for method in methods]


def parameters():
    """The name of every query parameter."""
    operations_of_all = [each for methods in openapi_paths().values() for each in methods.values()]
    return sorted({p["name"] for each in operations_of_all for p in each.get("parameters", [])})


@pytest.mark.parametrize("name", parameters())
def test_parameter_is_documented(name):
    """Each parameter of each endpoint is explained."""
    text = (DOCS / "http-api.md").read_text()
    assert re.search(rf"`{name}=?`|\{{{name}\}}", text)


@pytest.mark.parametrize("endpoint", endpoints())
def test_endpoint_is_documented(endpoint):
    """Each endpoint has a heading of its own."""
    headings = re.findall(r"^### `(.+)`$", (DOCS / "http-api.md").read_text(), re.MULTILINE)
    assert endpoint in headings


def error_codes():
    """The code of every error an answer may carry."""
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind)]
    abstract = (errors.LensError, errors.Rejected, errors.TryLater, errors.ConfigError)
    return [k.code for k in kinds if issubclass(k, errors.LensError) and k not in abstract]


@pytest.mark.parametrize("code", error_codes())
def test_error_code_is_documented(code):
    """Each code an answer may carry is in the table of errors."""
    assert f"| `{code}` |" in (DOCS / "http-api.md").read_text()


@pytest.mark.parametrize(
    "record", [curves.PointRow, drawing.Curve, drawing.Envelope], ids=lambda r: r.__name__
)
def test_answered_fields_are_documented(record):
    """Each field of a point and of a curve is explained."""
    text = (DOCS / "http-api.md").read_text()
    assert [f for f in record.__struct_fields__ if f"`{f}`" not in text] == []


@pytest.mark.parametrize("path", ADRS, ids=lambda path: path.stem)
def test_decision_is_one_page_with_its_sections(path):
    """A decision says its context, its choice, what was measured and what would change it."""
    lines = path.read_text().splitlines()
    assert lines[0].startswith(f"# {int(path.name[:4])}. ")
    assert [line[3:] for line in lines if line.startswith("## ")] == list(SECTIONS)
    assert len(lines) <= 60


def test_decisions_are_numbered_without_a_gap():
    """Decisions are numbered from 1 in the order they were made."""
    assert [int(path.name[:4]) for path in ADRS] == list(range(1, len(ADRS) + 1))
    assert ADRS


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    """Every relative link names a file that is there, every anchor a heading in it."""
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), f"{target} in {path.name}"
        if anchor:
            assert anchor in anchors(found), f"{target} in {path.name}"


def anchors(path):
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def test_files_named_on_the_way_of_a_point_exist():
    """Every module that the architecture names is there."""
    named = set(
        re.findall(r"`((?:[a-z0-9_]+/)*_?[a-z0-9_]+\.py)`", (DOCS / "ARCHITECTURE.md").read_text())
    )
    assert named
    rooms = (EXPORTER, ROOT / "packages" / "server" / "src" / "primus_lens", ROOT)
    assert [name for name in named if not any((room / name).exists() for room in rooms)] == []


def test_every_room_is_in_the_architecture():
    """No module of either package is missing from the map."""
    text = (DOCS / "ARCHITECTURE.md").read_text()
    server = ROOT / "packages" / "server" / "src" / "primus_lens"
    modules = [*server.rglob("*.py"), *EXPORTER.rglob("*.py")]
    names = {path.name for path in modules} - {"__init__.py", "__main__.py"}
    assert sorted(name for name in names if name not in text) == []
