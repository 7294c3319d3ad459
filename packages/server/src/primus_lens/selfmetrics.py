"""Metrics about the service itself, under the specification's names.

No label comes from a sender: a workload_uid as a label would grow without bound. The families that
the specification divides by each other carry the same labels, so that its PromQL works as written.
"""

from collections.abc import Iterator

import prometheus_client as prometheus
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from primus_lens.model.alerts import KINDS

REQUEST_TYPES = ("detection", "metrics", "logs", "batch")


class _BareCounter(Collector):
    """A counter whose name does not end in _total, as the specification has two of them."""

    def __init__(
        self, name: str, documentation: str, registry: prometheus.CollectorRegistry
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._value = 0.0
        registry.register(self)

    def inc(self, amount: float = 1) -> None:
        """Count."""
        self._value += amount

    def collect(self) -> Iterator[Metric]:
        """The one sample, under the bare name."""
        family = CounterMetricFamily(self._name, self._documentation)
        family.add_sample(self._name, {}, self._value)
        yield family


class SelfMetrics:
    """The counters of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=registry)
        prometheus.PlatformCollector(registry=registry)
        self.requests = prometheus.Counter(
            "wandb_requests_total", "Reports received.", ["type"], registry=registry
        )
        self.request_errors = prometheus.Counter(
            "wandb_request_errors_total",
            "Reports answered with an error.",
            ["type"],
            registry=registry,
        )
        self.request_error_reasons = prometheus.Counter(
            "wandb_request_error_reasons_total",
            "The same errors by their code.",
            ["type", "reason"],
            registry=registry,
        )
        self.request_duration = prometheus.Histogram(
            "wandb_request_duration_seconds",
            "From a report's arrival to its answer.",
            ["type"],
            registry=registry,
        )
        for kind in REQUEST_TYPES:
            self.requests.labels(kind)
            self.request_errors.labels(kind)
            self.request_duration.labels(kind)
        self.metrics_data_points = prometheus.Counter(
            "wandb_metrics_data_points_total",
            "Points received in metrics reports.",
            registry=registry,
        )
        self.logs_data_points = prometheus.Counter(
            "wandb_logs_data_points_total",
            "Rows received in training data reports.",
            registry=registry,
        )
        self.metrics_stored = _BareCounter(
            "wandb_metrics_store_count", "Points committed to the database.", registry
        )
        self.metrics_store_errors = prometheus.Counter(
            "wandb_metrics_store_errors_total",
            "Points that could not be committed.",
            registry=registry,
        )
        self.saves = prometheus.Counter(
            "training_performance_save_total",
            "Reports committed to training_performance.",
            registry=registry,
        )
        self.save_errors = prometheus.Counter(
            "training_performance_save_errors_total",
            "Reports that could not be committed.",
            ["reason"],
            registry=registry,
        )
        self.parked_lost = prometheus.Counter(
            "wandb_parked_reports_lost_total",
            "Parked reports given up: their pod never appeared, or they could not be stored.",
            ["reason"],
            registry=registry,
        )
        for reason in ("expired", "refused"):
            self.parked_lost.labels(reason)
        self.parked_points_lost = prometheus.Counter(
            "wandb_parked_points_lost_total",
            "Points in parked reports whose pod never appeared.",
            registry=registry,
        )
        self.detections = prometheus.Counter(
            "framework_detection_total",
            "Frameworks detected.",
            ["framework", "method"],
            registry=registry,
        )
        self.detection_confidence = prometheus.Histogram(
            "framework_detection_confidence",
            "Confidence of detections.",
            ["framework", "method"],
            buckets=(0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0),
            registry=registry,
        )
        self.detection_errors = prometheus.Counter(
            "framework_detection_errors_total",
            "Detection reports that named no framework.",
            registry=registry,
        )

        self._add_watch(registry)

    def _add_watch(self, registry: prometheus.CollectorRegistry) -> None:
        """The watch's; only the one processor that watches has more than zeros."""
        self.watch_alerts = prometheus.Gauge(
            "watch_alerts", "Alerts that stand.", ["kind", "state"], registry=registry
        )
        self.watch_alerts_opened = prometheus.Counter(
            "watch_alerts_opened_total", "Alerts opened.", ["kind"], registry=registry
        )
        self.watch_runs = prometheus.Gauge("watch_runs", "Runs watched.", registry=registry)
        self.watch_runs_behind = prometheus.Gauge(
            "watch_runs_behind", "Runs with rows that wait to be judged.", registry=registry
        )
        self.watch_rows = prometheus.Counter("watch_rows_total", "Rows judged.", registry=registry)
        self.watch_sweep = prometheus.Histogram(
            "watch_sweep_seconds", "One look at all runs.", registry=registry
        )
        self.watch_webhook = prometheus.Counter(
            "watch_webhook_total", "Alerts posted, by outcome.", ["result"], registry=registry
        )
        for kind in KINDS:
            self.watch_alerts_opened.labels(kind)
            for state in ("open", "silenced"):
                self.watch_alerts.labels(kind, state)
        for result in ("told", "refused", "failed"):
            self.watch_webhook.labels(result)

    def request_failed(self, kind: str, reason: str) -> None:
        """Count one error. reason: a code of model/errors."""
        self.request_errors.labels(kind).inc()
        self.request_error_reasons.labels(kind, reason).inc()
