"""The shipped dashboards: Grafana's own models read them, and every panel has data on the demo."""

import asyncio
import copy
import json
import math
from pathlib import Path

import asyncpg
import pytest
import train_twice
import yaml
from click.testing import CliRunner
from grafana_foundation_sdk.cog import encoder, plugins
from grafana_foundation_sdk.models import dashboard as models
from macros import expanded
from scraping import MISSING, PROGRAMS, Prometheus
from serving import Server, free_port

from primus_lens.cli import main

GRAFANA = Path(__file__).parents[3] / "deploy" / "grafana"
DASHBOARDS = {
    path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*"))
}
PANELS = [
    pytest.param(name, panel, id=f"{name}-{panel['title']}")
    for name, content in DASHBOARDS.items()
    for panel in content["panels"]
]
SOURCES = {"${postgres}": "grafana-postgresql-datasource", "${prometheus}": "prometheus"}
START, END = "2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z"


def queries(content):
    """Every SQL text of a dashboard: panels, variables, annotations."""
    yield from (t["rawSql"] for p in content["panels"] for t in p["targets"] if "rawSql" in t)
    yield from (v["query"] for v in content["templating"]["list"] if v["type"] == "query")
    yield from (a["target"]["rawSql"] for a in content["annotations"]["list"])


def lost(written, read, place=""):
    """What is written and was not read back: a field the model does not know."""
    if isinstance(written, dict):
        for name, value in written.items():
            if not isinstance(read, dict) or name not in read:
                if value not in ({}, [], "", None, False):
                    yield f"{place}.{name}"
            else:
                yield from lost(value, read[name], f"{place}.{name}")
    elif isinstance(written, list):
        for number, value in enumerate(written):
            yield from lost(value, read[number], f"{place}[{number}]")
    elif written != read:
        yield f"{place} is {written!r}, read as {read!r}"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_grafanas_model_reads_the_dashboard(name):
    """The models of Grafana's own SDK know every field, options of panels and queries included."""
    plugins.register_default_plugins()
    written = copy.deepcopy(DASHBOARDS[name])
    for annotation in written["annotations"]["list"]:
        del annotation["target"]  # the SDK knows only the one of Grafana's own annotations
    read = models.Dashboard.from_json(written)
    again = json.loads(encoder.JSONEncoder(sort_keys=True).encode(read))
    assert list(lost(written, again)) == []


def test_dashboards_and_panels_are_told_apart():
    """Each dashboard has an address of its own, each panel a number, a title and a place."""
    assert {"fleet", "workload", "compare", "ingest"} == set(DASHBOARDS)
    assert len({each["uid"] for each in DASHBOARDS.values()}) == len(DASHBOARDS)
    for content in DASHBOARDS.values():
        panels = content["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        assert all(panel["title"] and panel["targets"] for panel in panels)
        places = [
            (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
            for panel in panels
            for x in range(panel["gridPos"]["w"])
            for y in range(panel["gridPos"]["h"])
        ]
        assert len(set(places)) == len(places)
        assert max(x for x, _ in places) < 24


@pytest.mark.parametrize("name, panel", PANELS)
def test_panel_asks_a_source_that_the_dashboard_lets_choose(name, panel):
    """No panel names a data source of somebody's own: each is a variable of the right kind."""
    kinds = {
        f"${{{each['name']}}}": each["query"]
        for each in DASHBOARDS[name]["templating"]["list"]
        if each["type"] == "datasource"
    }
    for source in [panel["datasource"], *(target["datasource"] for target in panel["targets"])]:
        assert kinds[source["uid"]] == source["type"] == SOURCES[source["uid"]]


@pytest.mark.parametrize("path", sorted((GRAFANA / "provisioning").rglob("*.yaml")), ids=str)
def test_provisioning_names_a_source_and_no_secret(path):
    """Each file is of the form Grafana provisions; secrets come from its environment."""
    content = yaml.safe_load(path.read_text())
    assert content["apiVersion"] == 1
    for source in content.get("datasources", []):
        assert source["type"]
        assert source["url"]
        assert all("${" in value for value in source.get("secureJsonData", {}).values())
    for provider in content.get("providers", []):
        assert provider["options"]["path"]


@pytest.fixture(scope="module")
def demo(open_directory):
    """The demo's workload, whoever asks for its rows as the role, and a Prometheus or None."""
    port = free_port()
    config = open_directory / "demo.yaml"
    config.write_text(f"metrics: {{prometheus: {{port: {port}, training: true}}}}\n")
    server = Server(open_directory / "demo", "--config", str(config)).start()
    target = f"127.0.0.1:{port}"
    jobs = [
        ("primus-lens", "/metrics", target),
        ("primus-lens-training", "/metrics/training", target),
    ]
    scraping = (
        Prometheus(open_directory / "demo-prometheus", jobs) if all(PROGRAMS.values()) else None
    )
    try:
        workload = train_twice.train(f"{server.url}/api/v1")
        words = ["db", "grafana-role", "--data-dir", str(server.data_directory)]
        assert CliRunner().invoke(main, words).exit_code == 0
        yield workload, open_directory / "demo" / "postgres", scraping
    finally:
        if scraping:
            scraping.stop()
        server.stop()


def rows(socket_directory, query):
    """The rows of a query as Grafana's role."""

    async def fetch():
        connection = await asyncpg.connect(
            host=str(socket_directory), user="grafana", database="primus_lens"
        )
        try:
            return await connection.fetch(query)
        finally:
            await connection.close()

    return asyncio.run(fetch())


def filled(query, workload):
    """A query as Grafana would send it with the demo chosen."""
    several = "workload_uid IN (${workload:sqlstring})" in query
    values = {
        "workload": [workload] if several else workload,
        "metric": ["train/loss", "train/grad_norm"] if "${metric" in query else "train/loss",
        "run": [workload],
        "every": "10",
    }
    return expanded(query, start=START, end=END, values=values)


@pytest.mark.parametrize("panel", [p.values[1] for p in PANELS], ids=[p.id for p in PANELS])
def test_every_query_of_every_panel_has_data(demo, panel):
    """On the demo's data each query of a panel answers, in order of time, with things to draw."""
    workload, socket_directory, scraping = demo
    for target in panel["targets"]:
        if "expr" in target:
            if scraping is None:
                pytest.skip(MISSING)
            query = target["expr"].replace("$__rate_interval", "5m")
            assert scraping.told(query), query
            continue
        found = rows(socket_directory, filled(target["rawSql"], workload))
        assert found, target["rawSql"]
        if target["format"] == "time_series":
            times = [row["time"] for row in found]
            assert times == sorted(times)
            assert any(isinstance(value, int | float) for value in found[0].values())


def test_the_demos_overflow_is_counted(demo):
    """The one step whose gradient overflowed is in the panel that counts them."""
    workload, socket_directory, _ = demo
    [panel] = [p for p in DASHBOARDS["workload"]["panels"] if p["title"] == "NaN and infinities"]
    [row] = rows(socket_directory, filled(panel["targets"][0]["rawSql"], workload))
    assert row["nonfinite"] == 1


@pytest.mark.parametrize("name", [name for name in DASHBOARDS if name != "ingest"])
def test_variables_and_annotations_answer(demo, name):
    """What fills the choices has the demo's, and annotations are queries the views answer."""
    workload, socket_directory, _ = demo
    content = DASHBOARDS[name]
    for query in queries(content):
        rows(socket_directory, filled(query, workload))
    for variable in content["templating"]["list"]:
        if variable["type"] == "query":
            assert rows(socket_directory, filled(variable["query"], workload)), variable["name"]


def test_the_training_rules_see_the_demo(demo):
    """While it ran, Prometheus saw the demo's loss as a number and its step grow."""
    workload, _, scraping = demo
    if scraping is None:
        pytest.skip(MISSING)
    seen = scraping.values(
        f'max_over_time(training_metric{{workload_uid="{workload}",metric="train/loss"}}[5m])'
    )
    assert seen
    assert not math.isnan(float(seen[0]))
    grown = scraping.values(f'delta(training_iteration{{workload_uid="{workload}"}}[5m])')
    assert float(grown[0]) > 0
