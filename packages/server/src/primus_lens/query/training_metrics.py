"""The newest values of running workloads as Prometheus reads them, for alerts on trainings.

Here alone a label is a sender's to choose: an alert on a loss must say whose it is. So it is off
unless asked for, and the number of series is bounded. Comes after routes/training_scrape.
"""

from collections.abc import Iterable, Iterator, Sequence

import asyncpg
import msgspec
import prometheus_client as prometheus
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from primus_lens.store import grafana
from primus_lens.store.database import Database

HEARD_WITHIN_S = 86_400  # a run that says it runs and was silent for longer is no alert any more

_OF_A_RUN = ("workload_uid", "run_id", "data_source")
_PER_RUN = 3  # series a run has beside its metrics


async def exposed(database: Database, *, now: float, most: int) -> bytes:
    """What a scrape gets: at most so many series, those of the runs heard last. now: Unix seconds.

    Raises StoreUnavailable.
    """
    async with database.connection() as connection:
        rows = await grafana.newest_values(connection, since=now - HEARD_WITHIN_S, most=most)
    return text(rows, most=most)


def text(rows: Sequence[asyncpg.Record], *, most: int) -> bytes:
    """Runs in the format of a scrape; 5 us a series. rows: as store/grafana gives them."""
    registry = prometheus.CollectorRegistry()
    registry.register(_Newest(rows, most))
    return prometheus.generate_latest(registry)


class _Newest(Collector):
    def __init__(self, rows: Sequence[asyncpg.Record], most: int) -> None:
        self._rows = rows
        self._most = most

    def collect(self) -> Iterable[Metric]:
        value = GaugeMetricFamily(
            "training_metric",
            "Newest value of a metric of a running workload.",
            labels=[*_OF_A_RUN, "metric"],
        )
        step, target, heard = (
            GaugeMetricFamily(name, words, labels=_OF_A_RUN)
            for name, words in (
                ("training_iteration", "Newest step of a running workload."),
                ("training_target_iteration", "The step a running workload means to reach."),
                ("training_last_log_timestamp_seconds", "When it last logged, by its own clock."),
            )
        )
        left = self._most
        left_out = 0
        for row in self._rows:
            values = list(_numbers(row["last_values"]))
            if len(values) + _PER_RUN > left:
                left_out += len(values) + _PER_RUN
                continue
            left -= len(values) + _PER_RUN
            labels = [row[name] for name in _OF_A_RUN]
            for name, number in values:
                value.add_metric([*labels, name], number)
            step.add_metric(labels, row["last_step"])
            heard.add_metric(labels, row["last_at"])
            if row["target_step"]:
                target.add_metric(labels, row["target_step"])
        beyond = GaugeMetricFamily(
            "training_series_left_out",
            "Series beyond metrics.prometheus.training_series, of the runs read.",
            value=left_out,
        )
        return [value, step, target, heard, beyond]


def _numbers(stored: str) -> Iterator[tuple[str, float]]:
    """The newest values; NaN and the infinities are kept as text, which float reads."""
    for name, value in msgspec.json.decode(stored).items():
        yield name, float(value)
