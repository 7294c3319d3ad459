"""The service's metrics about itself: the specification's names and queries work as written."""

import re

import httpx
import prometheus_client as prometheus
import pytest
from prometheus_client.parser import text_string_to_metric_families

from primus_lens.selfmetrics import REQUEST_TYPES, SelfMetrics

SPECIFICATION = {
    "wandb_requests_total": {"type"},
    "wandb_request_errors_total": {"type"},
    "wandb_request_duration_seconds_bucket": {"type", "le"},
    "wandb_metrics_data_points_total": set(),
    "wandb_metrics_store_count": set(),
}
"""The series of the specification's five queries, with their labels."""

DIVISIONS = [
    ("wandb_request_errors_total", "wandb_requests_total"),
    ("wandb_metrics_store_count", "wandb_metrics_data_points_total"),
]
"""What those queries divide by each other: PromQL divides only series of equal labels."""


def samples(counters):
    """Every exposed sample: name to the label sets it has."""
    text = prometheus.generate_latest(counters.registry).decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


@pytest.mark.parametrize("name", SPECIFICATION)
def test_name_of_the_specification_is_there_before_the_first_report(name):
    """A query of the specification has series from the start, with the labels it sums over."""
    assert all(set(labels) == SPECIFICATION[name] for labels in samples(SelfMetrics())[name])


@pytest.mark.parametrize("dividend, divisor", DIVISIONS)
def test_division_of_the_specification_has_equal_labels(dividend, divisor):
    """Each series of a dividend meets exactly one of its divisor."""
    counters = SelfMetrics()
    for kind in REQUEST_TYPES:
        counters.requests.labels(kind).inc()
        counters.request_failed(kind, "invalid_field")
    found = samples(counters)
    assert sorted(map(str, found[dividend])) == sorted(map(str, found[divisor]))


def test_an_error_is_counted_once_by_type_and_once_by_reason():
    """Reasons are a family of their own, so that an error is not counted twice in the rate."""
    counters = SelfMetrics()
    counters.request_failed("metrics", "too_large")
    value = counters.registry.get_sample_value
    assert value("wandb_request_errors_total", {"type": "metrics"}) == 1
    reason = {"type": "metrics", "reason": "too_large"}
    assert value("wandb_request_error_reasons_total", reason) == 1


def test_no_label_is_the_senders_to_choose():
    """No family has a label whose values grow with the fleet."""
    names = {
        label for labels in samples(SelfMetrics()).values() for each in labels for label in each
    }
    assert not names & {"workload_uid", "pod_name", "run_id", "metric", "name"}


def test_counters_follow_what_is_reported(make_server, free_ports):
    """Reports, points and errors of a running server appear on its own metrics port."""
    port = free_ports()
    running = make_server(f"metrics: {{prometheus: {{port: {port}}}}}\n").start()
    point = {"name": "loss", "value": 1, "step": 1}
    assert running.post("/wandb/metrics", {"workload_uid": "w", "metrics": [point] * 3}).is_success
    assert running.post("/wandb/metrics", {"metrics": []}).status_code == 400
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    told = dict(re.findall(r"^(wandb_\S+) (\S+)$", text, re.MULTILINE))
    assert told['wandb_requests_total{type="metrics"}'] == "2.0"
    assert told['wandb_request_errors_total{type="metrics"}'] == "1.0"
    assert told["wandb_metrics_data_points_total"] == told["wandb_metrics_store_count"] == "3.0"
    assert told['wandb_request_duration_seconds_count{type="metrics"}'] == "2.0"
    assert told['wandb_request_errors_total{type="batch"}'] == "0.0"


def test_batch_whose_parts_fail_is_one_error(make_server, free_ports):
    """Errors never outnumber requests, or their ratio would say nothing."""
    port = free_ports()
    running = make_server(f"metrics: {{prometheus: {{port: {port}}}}}\n").start()
    assert running.post("/wandb/batch", {"metrics": {}, "logs": {}}).json()["success"] is False
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert 'wandb_request_errors_total{type="batch"} 1.0' in text
    assert 'wandb_request_errors_total{type="metrics"} 0.0' in text
    assert 'wandb_request_error_reasons_total{reason="invalid_field",type="batch"} 2.0' in text


def test_frameworks_nobody_knows_share_a_label(make_server, free_ports):
    """A sender may name any framework; it adds no time series by that."""
    port = free_ports()
    running = make_server(f"metrics: {{prometheus: {{port: {port}}}}}\n").start()
    for name in ("mine", "yours", "jax"):
        evidence = {"base_frameworks": {name: {"detected": True, "initialized": True}}}
        running.post("/wandb/detection", {"workload_uid": name, "evidence": evidence})
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert set(re.findall(r'framework_detection_total{framework="(\w+)"', text)) == {"other", "jax"}
