"""Alert rules by promtool, and the specification's queries by a real Prometheus that scrapes."""

import math
import subprocess
from pathlib import Path

import pytest
from scraping import MISSING, PROGRAMS, Prometheus

FOLDER = Path(__file__).parents[3] / "deploy" / "grafana" / "prometheus"

pytestmark = pytest.mark.skipif(not all(PROGRAMS.values()), reason=MISSING)

SPECIFIED = [
    "rate(wandb_requests_total[5m])",
    "rate(wandb_request_errors_total[5m]) / rate(wandb_requests_total[5m])",
    "histogram_quantile(0.95, rate(wandb_request_duration_seconds_bucket[5m]))",
    "rate(wandb_metrics_data_points_total[5m])",
    "rate(wandb_metrics_store_count[5m]) / rate(wandb_metrics_data_points_total[5m])",
]


@pytest.mark.parametrize(
    "words",
    [
        ["check", "rules", "rules.yml"],
        ["check", "config", "prometheus.yml"],
        ["test", "rules", "rules_test.yml"],
    ],
    ids=" ".join,
)
def test_promtool_is_content(words):
    """Prometheus takes the rules and the configuration, and each alert tells what its test says."""
    done = subprocess.run(
        [PROGRAMS["promtool"], *words], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_test():
    """No alert is shipped that no case of rules_test.yml makes fire."""
    rules = (FOLDER / "rules.yml").read_text()
    names = {line.split(":")[1].strip() for line in rules.splitlines() if "- alert:" in line}
    tested = (FOLDER / "rules_test.yml").read_text()
    assert names
    assert [
        name for name in names if f"alertname: {name}\n        exp_alerts:\n" not in tested
    ] == []


def test_the_specified_queries_have_values(make_server, free_ports, open_directory, workload):
    """A Prometheus that scrapes a running system answers each query of the specification."""
    port = free_ports()
    server = make_server(f"metrics: {{prometheus: {{port: {port}}}}}\n").start()
    folder = open_directory / f"prometheus-{workload}"
    scraping = Prometheus(folder, [("primus-lens", "/metrics", f"127.0.0.1:{port}")])
    step = 0

    def numbers(found):
        """Whether some are; until then more is reported, so that rates have something to see."""
        nonlocal step
        step += 1
        metrics = [{"name": "loss", "value": 1, "step": step}]
        server.post("/wandb/metrics", {"workload_uid": workload, "metrics": metrics})
        return [each for each in found if not math.isnan(float(each))]

    try:
        for query in SPECIFIED:
            assert numbers(scraping.told(query, numbers)), query
        assert scraping.values("wandb_metrics_store_count")
    finally:
        scraping.stop()
