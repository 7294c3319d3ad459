"""`primus-lens serve` as an operator meets it: roles, ports, signals, restarts."""

import asyncio
import os
import re
import signal
import time
from pathlib import Path
from urllib.parse import quote, unquote

import httpx
import pytest
from serving import free_port

from primus_lens import assembly, settings
from primus_lens.model.errors import StoreUnavailable
from primus_lens.settings import DatabaseSettings, PrometheusSettings
from primus_lens.store.compaction import Compaction
from primus_lens.watch.sweep import Sweep

METRIC = {"name": "loss", "value": 0.5, "step": 1, "timestamp": 5.0}


def config(dsn, **more):
    """A configuration on a PostgreSQL that exists."""
    lines = ["metrics: {prometheus: {enabled: false}}", f"database: {{dsn: '{dsn}'}}"]
    return "\n".join([*lines, *(f"{name}: {value}" for name, value in more.items())])


def test_processor_and_api_share_a_database(make_server, database_dsn, workload):
    """What a processor stores an api reads; each answers only its own endpoints."""
    processor = make_server(config(database_dsn), "--role", "processor").start()
    api = make_server(config(database_dsn), "--role", "api").start()
    body = {"workload_uid": workload, "metrics": [METRIC]}

    assert processor.post("/wandb/metrics", body).status_code == 200
    assert api.points(workload) == {("loss", 1): 0.5}
    assert processor.get("/workloads").status_code == 404
    assert api.post("/wandb/metrics", body).status_code == 404
    assert api.stop() == processor.stop() == 0


def test_debug_tells_each_report_in_the_words_of_the_specification(
    make_server, database_dsn, workload
):
    """Who follows the specification's advice finds its lines, and a line a record."""
    server = make_server(config(database_dsn, log="{level: debug}")).start()
    whose = {"workload_uid": workload}
    server.post("/wandb/detection", {**whose, "source": "wandb", "evidence": {}})
    server.post("/wandb/metrics", {**whose, "metrics": [METRIC]})
    server.post("/wandb/logs", {**whose, "logs": [{"step": 1, "data": {"lr": 1}}]})
    assert server.stop() == 0
    said = server.log.read_text()
    for line in (
        "[WandB Detection API] Received request",
        "[WandB Metrics API] Processing metrics for 1 workload(s)",
        "✓ WandB metrics stored to MetricsStorage: 1 success",
        f"✓ Updated WandB training data for workload {workload}",
    ):
        assert f"DEBUG   primus_lens.routes.wandb_v1: {line}\n" in said


def test_other_data_planes_are_read_by_name(make_server, database_dsn, server, workload):
    """`cluster=` reads a configured data plane; its own name reads this server's."""
    server.post("/wandb/metrics", {"workload_uid": workload, "metrics": [METRIC]})
    reader = make_server(config(database_dsn, clusters=f"{{east: '{server.dsn}'}}")).start()
    assert reader.points(workload, cluster="east") == {("loss", 1): 0.5}
    assert reader.points(workload) == reader.points(workload, cluster="default") == {}
    unknown = reader.get("/workloads", cluster="west")
    assert "known are: default, east" in unknown.json()["error"]


def test_data_plane_that_is_away_keeps_nobody_from_serving(
    make_server, database_dsn, server, workload, tmp_path
):
    """While a data plane is away its readers get 503; once it is there it is read."""
    server.post("/wandb/metrics", {"workload_uid": workload, "metrics": [METRIC]})
    away = tmp_path / "sockets"
    there = re.search(r"host=([^&]+)", server.dsn).group(1)
    clusters = f"{{east: '{server.dsn.replace(there, quote(str(away), safe=''))}'}}"
    reader = make_server(config(database_dsn, clusters=clusters)).start()
    assert reader.get("/workloads").json()["total_count"] == 0
    refused = reader.get("/workloads", cluster="east")
    assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
    away.symlink_to(unquote(there))
    while reader.get("/workloads", cluster="east").status_code == 503:
        pass  # the suite's time limit bounds the wait
    assert reader.points(workload, cluster="east") == {("loss", 1): 0.5}


@pytest.mark.parametrize("fault", [KeyError("a bug"), StoreUnavailable("gone")])
def test_no_error_ends_what_is_done_in_the_background(
    database_dsn, monkeypatch, caplog, tmp_path, fault
):
    """What fails once is done again, a bug of ours too, which is logged with its traceback."""
    file = tmp_path / "often.yaml"
    often = dict.fromkeys(("compaction", "watch"), "{every_s: 0.01}")
    file.write_text(config(database_dsn, **often))
    looked = dict.fromkeys((Compaction, Sweep), 0)

    async def scenario():
        again = asyncio.Event()

        def failing(kind):
            async def look(_, *, now):
                assert now
                looked[kind] += 1
                if min(looked.values()) > 1:
                    again.set()
                raise fault

            return look

        monkeypatch.setattr(Compaction, "sweep", failing(Compaction))
        monkeypatch.setattr(Sweep, "look", failing(Sweep))
        async with assembly.running(
            settings.load(file), "processor", insecure=False, make_token=""
        ):
            await again.wait()

    asyncio.run(scenario())
    assert any(record.exc_info for record in caplog.records) == isinstance(fault, KeyError)


def test_parts_can_be_switched_off(make_server, database_dsn, workload):
    """A switched-off part answers 404, so that senders keep their data."""
    made = make_server(config(database_dsn, wandb="{detection_enabled: false}")).start()
    assert made.post("/wandb/detection", {"workload_uid": workload}).status_code == 404
    answer = made.post(
        "/wandb/batch",
        {
            "detection": {"workload_uid": workload},
            "metrics": {"workload_uid": workload, "metrics": [METRIC]},
        },
    ).json()
    assert answer["success"] is False
    assert answer["results"]["metrics"] == {"success": True, "count": 1}


def test_self_metrics_have_their_own_port(make_server, database_dsn, workload):
    """Prometheus finds the specification's names where `metrics.prometheus.port` says."""
    port = free_port()
    text = f"metrics: {{prometheus: {{port: {port}}}}}\ndatabase: {{dsn: '{database_dsn}'}}\n"
    made = make_server(text).start()
    made.post("/wandb/metrics", {"workload_uid": workload, "metrics": [METRIC] * 3})
    made.post("/wandb/metrics", {"metrics": []})
    told = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert 'wandb_requests_total{type="metrics"} 2.0' in told
    assert 'wandb_request_errors_total{type="metrics"} 1.0' in told
    assert "wandb_metrics_data_points_total 3.0" in told
    assert "wandb_metrics_store_count 3.0" in told
    assert 'wandb_request_duration_seconds_bucket{le="0.005",type="metrics"}' in told
    assert workload not in told


def test_taken_metrics_port_does_not_stop_the_service(make_server, database_dsn, server):
    """Taking reports matters more than telling about it."""
    text = (
        f"metrics: {{prometheus: {{port: {server.port}}}}}\ndatabase: {{dsn: '{database_dsn}'}}\n"
    )
    made = make_server(text).start()
    assert made.stop() == 0
    assert "self-metrics are not served" in made.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_leaves_nothing_behind(make_server, workload, number):
    """SIGTERM and Ctrl-C end the server and its PostgreSQL; what was stored is there again."""
    made = make_server().start()
    made.post("/wandb/metrics", {"workload_uid": workload, "metrics": [METRIC]})
    assert made.stop(number) == 0
    assert made.postgres() == []
    assert made.start().points(workload) == {("loss", 1): 0.5}


def test_killed_server_finds_its_data_again(make_server, workload):
    """After SIGKILL the next start takes over the orphaned PostgreSQL's directory."""
    made = make_server().start()
    made.post("/wandb/metrics", {"workload_uid": workload, "metrics": [METRIC]})
    made.stop(signal.SIGKILL)
    assert made.postgres() != []
    assert made.start().points(workload) == {("loss", 1): 0.5}


def test_killed_postgresql_comes_back_under_the_server(make_server, workload):
    """After SIGKILL of the postmaster reports are taken again; meanwhile they are told when."""
    made = make_server().start()
    made.post("/wandb/metrics", {"workload_uid": workload, "metrics": [METRIC]})
    postmaster = min(made.postgres())
    os.kill(postmaster, signal.SIGKILL)

    answers = []
    deadline = time.monotonic() + 60
    while not answers or answers[-1].status_code != 200:
        body = {"workload_uid": workload, "metrics": [{**METRIC, "step": 2}]}
        answers.append(made.post("/wandb/metrics", body))
        assert time.monotonic() < deadline, answers[-1].text
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert all("retry-after" in a.headers for a in answers if a.status_code == 503)
    assert made.points(workload) == {("loss", 1): 0.5, ("loss", 2): 0.5}


def test_second_server_on_the_same_data_is_refused(make_server):
    """Two servers never share a data directory; the second says who has it."""
    first = make_server().start()
    second = make_server("", "--data-dir", str(first.data_directory))
    with pytest.raises(pytest.fail.Exception, match=f"{first.process.pid}"):
        second.start()


def test_password_of_any_characters_reaches_postgresql():
    """The parts of the specification's configuration make one DSN, whatever they hold."""
    parts = DatabaseSettings(host="pg", user="a b", password="p@ss/wörd:?")  # noqa: S106 - no secret
    dsn = assembly.external_dsn(parts)
    assert dsn == "postgresql://a%20b:p%40ss%2Fw%C3%B6rd%3A%3F@pg:5432/primus_lens"


@pytest.mark.parametrize(
    "settings, environ, euid, directory",
    [
        (DatabaseSettings(), {}, 0, "/var/lib/primus-lens"),
        (DatabaseSettings(), {"XDG_DATA_HOME": "/x"}, 1000, "/x/primus-lens"),
        (DatabaseSettings(data_directory="/data"), {}, 1000, "/data"),
    ],
)
def test_data_directory_has_a_sensible_default(settings, environ, euid, directory):
    """Root's data lies in /var/lib, a user's where XDG says; the configuration wins."""
    assert assembly.data_directory(settings, environ, euid=euid) == Path(directory)


def test_prometheus_is_on_by_default():
    """The specification's configuration need not be written to have self-metrics."""
    assert PrometheusSettings() == PrometheusSettings(enabled=True, host="", port=9090)
