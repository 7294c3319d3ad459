"""docs/operations.md and docs/configuration.md are true: SQL, YAML and metrics are the server's."""

import asyncio
import re
from pathlib import Path

import asyncpg
import prometheus_client as prometheus
import pytest
from prometheus_client.parser import text_string_to_metric_families

from primus_lens import settings
from primus_lens.selfmetrics import SelfMetrics

DOCS = Path(__file__).parents[2] / "docs"
OPERATIONS = (DOCS / "operations.md").read_text()
ALREADY_THERE = ("CREATE DATABASE", "CREATE ROLE")


def blocks(text, language):
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def exposed():
    """The name of every sample of ours that a scrape sees, with the labels of its family."""
    counters = SelfMetrics()
    counters.request_failed("metrics", "too_large")
    counters.save_errors.labels("too_large")
    counters.detections.labels("primus", "import")
    counters.detection_confidence.labels("primus", "import")
    text = prometheus.generate_latest(counters.registry).decode()
    return {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.startswith(("process_", "python_"))
        and not sample.name.endswith("_created")
    }


def test_statements_shown_fit_the_tables(database_dsn):
    """Each SQL statement an operator is told to run is one that the database understands."""
    shown = [each.strip() for block in blocks(OPERATIONS, "sql") for each in block.split(";")]
    statements = [each for each in shown if each and not each.startswith(ALREADY_THERE)]

    async def prepared():
        connection = await asyncpg.connect(database_dsn)
        for statement in statements:
            await connection.prepare(statement)
        await connection.close()

    assert statements
    asyncio.run(prepared())


def test_queries_shown_ask_for_metrics_that_are_there():
    """Each name in the PromQL shown is one that a scrape sees."""
    [queries] = blocks(OPERATIONS, "promql")
    code = "\n".join(line for line in queries.splitlines() if not line.startswith("#"))
    names = set(re.findall(r"\bwandb_\w+", code))
    assert len(names) == 5
    assert names <= exposed().keys()


def test_table_of_metrics_is_whole():
    """Every metric of the service has its row, and every row its metric, with the same labels."""
    rows = re.findall(r"^\| `(\w+)` \| ([\w, ]*) ?\| .+ \|$", OPERATIONS, re.MULTILINE)
    told = {name: set(filter(None, labels.replace(" ", "").split(","))) for name, labels in rows}
    suffix = re.compile(r"_(bucket|sum|count)$")
    seen = {}
    for name, labels in exposed().items():
        family = name if name in told else suffix.sub("", name)
        seen[family] = labels - {"le"}
    assert {
        n: v
        for n, v in told.items()
        if n.startswith(("wandb_", "training_", "framework_", "watch_"))
    } == seen


@pytest.mark.parametrize("block", blocks((DOCS / "configuration.md").read_text(), "yaml"))
def test_configuration_shown_is_read(block, tmp_path):
    """The YAML of the configuration page is a configuration."""
    path = tmp_path / "config.yaml"
    path.write_text(block)
    assert settings.load(path, {"DB_PASSWORD": "secret"}) != settings.Settings()
