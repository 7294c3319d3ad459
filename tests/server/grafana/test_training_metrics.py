"""/metrics/training: the newest values of running workloads for Prometheus, if asked for."""

import time

import httpx
import pytest
from odd_names import NAMES
from prometheus_client.parser import text_string_to_metric_families

from primus_lens.query import training_metrics

ODD = [*NAMES, 'quo"te', "back\\slash", "new\nline"]


def samples(text):
    """(name, labels) to value."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def row(workload, values, **more):
    """A run as store/grafana gives it."""
    return {
        "workload_uid": workload,
        "run_id": "r",
        "data_source": "wandb",
        "last_step": 7,
        "target_step": None,
        "last_at": 5.0,
        "last_values": values,
        **more,
    }


def test_values_that_are_no_numbers_are_prometheus_own():
    """NaN and the infinities arrive as such."""
    found = samples(
        training_metrics.text(
            [row("w", '{"a": "NaN", "b": "Infinity", "c": "-Infinity", "d": -0.5}')], most=100
        ).decode()
    )
    told = {dict(labels).get("metric"): str(value) for (_, labels), value in found.items()}
    assert {name: told[name] for name in "abcd"} == {
        "a": "nan",
        "b": "inf",
        "c": "-inf",
        "d": "-0.5",
    }


def test_there_are_never_more_series_than_allowed():
    """What does not fit is left out by whole runs, and counted."""
    rows = [row("one", '{"a": 1, "b": 2}'), row("two", '{"a": 1, "b": 2}'), row("three", "{}")]
    found = samples(training_metrics.text(rows, most=8).decode())
    left_out = found.pop(("training_series_left_out", frozenset()))
    assert {dict(labels)["workload_uid"] for _, labels in found} == {"one", "three"}
    assert len(found) <= 8
    assert left_out == 5


@pytest.fixture
def scraped(make_server, free_ports):
    """Starts a server with these settings: (server, what a scrape of a path answers)."""

    def start(settings):
        port = free_ports()
        server = make_server(f"metrics: {{prometheus: {{port: {port}, {settings}}}}}\n").start()
        return server, lambda path: httpx.get(f"http://127.0.0.1:{port}{path}", timeout=30)

    return start


def test_running_workloads_are_told_by_any_name(scraped):
    """A run that says it runs is there, whatever is in its names; one that ended is not."""
    server, scrape = scraped("training: true, training_series: 50")
    for workload, state in (("at work", "running"), ("done", "finished")):
        metrics = [
            {"name": n, "value": i, "step": 3, "timestamp": time.time()} for i, n in enumerate(ODD)
        ]
        run = {"state": state, "config": {"max_steps": 9}}
        body = {"workload_uid": workload, "run_id": "r", "metrics": metrics, "run": run}
        assert server.post("/wandb/metrics", body).is_success
    found = samples(scrape("/metrics/training").text)
    of_run = frozenset({("workload_uid", "at work"), ("run_id", "r"), ("data_source", "wandb")})
    for place, name in enumerate(ODD):
        assert found["training_metric", of_run | {("metric", name)}] == place
    assert found["training_iteration", of_run] == 3
    assert found["training_target_iteration", of_run] == 9
    assert abs(found["training_last_log_timestamp_seconds", of_run] - time.time()) < 3600
    assert not [labels for _, labels in found if ("workload_uid", "done") in labels]
    assert "wandb_requests_total" in scrape("/metrics").text


def test_it_is_off_by_default(scraped):
    """Unless asked for, no label is a sender's and the path says how to switch it on."""
    _, scrape = scraped("enabled: true")
    answer = scrape("/metrics/training")
    assert answer.status_code == 404
    assert "metrics.prometheus.training" in answer.text
