"""The views for SQL readers, and the role that may read them and nothing else."""

import asyncio
import math
import uuid

import asyncpg
import pytest
from click.testing import CliRunner
from macros import expanded
from odd_names import BEGAN, NAMES, STEPS, UID
from serving import run

from primus_lens.cli import main

START, END = "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"


@pytest.fixture(scope="session")
def make_reader(open_directory):
    """Makes a role by the command on a database: (dsn) to (result, name of the role)."""

    def make(dsn, name=""):
        name = name or f"grafana {uuid.uuid4().hex[:8]}"
        config = open_directory / "reader.yaml"
        config.write_text(f"database: {{dsn: '{dsn}'}}\n")
        words = ["db", "grafana-role", "--config", str(config), "--name", name]
        return CliRunner().invoke(main, words), name

    return make


@pytest.fixture(scope="session")
def read(odd_server, make_reader):
    """Asks the session's database as such a role: rows of a statement, or of several the last."""
    made, name = make_reader(odd_server.dsn)
    assert made.exit_code == 0, made.output
    password = made.stdout.strip()

    async def fetch(statements, given):
        connection = await asyncpg.connect(odd_server.dsn, user=name, password=password)
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetch(statements[-1], *given)
        finally:
            await connection.close()

    return lambda *statements, given=(): run(fetch(statements, given))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_chosen_by_its_true_name(read, name):
    """A metric is found under the name the job gave it, in order of time, with Grafana's macros."""
    query = expanded(
        "SELECT time, metric, value FROM lens_points WHERE workload_uid = '$workload' "
        "AND metric IN (${metric:sqlstring}) AND $__timeFilter(time) ORDER BY time",
        start=START,
        end=END,
        values={"workload": UID, "metric": [name]},
    )
    rows = read(query)
    assert [row["time"].timestamp() for row in rows] == [BEGAN + step for step in range(STEPS)]
    assert {row["metric"] for row in rows} == {name}
    finite = [row["value"] for row in rows if not math.isnan(row["value"])]
    assert finite == [NAMES.index(name) + step for step in range(STEPS) if step != 3]


def test_time_is_grouped_by_the_macro(read):
    """$__timeGroupAlias makes buckets of the view's time."""
    query = expanded(
        "SELECT $__timeGroupAlias(time,'$__interval'), max(step) AS step FROM lens_points "
        "WHERE workload_uid = '$workload' AND $__timeFilter(time) GROUP BY 1 ORDER BY 1",
        start=START,
        end=END,
        interval="2s",
        values={"workload": UID},
    )
    assert [(int(row["time"]) - BEGAN, row["step"]) for row in read(query)] == [
        (0, 1),
        (2, 3),
        (4, 5),
    ]


def test_escaped_names_are_told_as_the_job_gave_them(server, read, workload):
    """Names that a step's document keeps for itself are neither lost nor shown as they are kept."""
    names = ["step", "source", "history", "metric:loss", "created_at"]
    metrics = [{"name": n, "value": i, "step": 7, "timestamp": BEGAN} for i, n in enumerate(names)]
    assert server.post("/wandb/metrics", {"workload_uid": workload, "metrics": metrics}).is_success
    rows = read("SELECT metric, value FROM lens_points WHERE workload_uid = $1", given=[workload])
    assert {row["metric"]: row["value"] for row in rows} == dict(zip(names, range(5), strict=True))


def test_the_view_has_every_point_the_api_has(server, read, workload):
    """Own times, overwritten values, text, NaN and both zeros are told as the API tells them."""
    values = [1.5, "NaN", "Infinity", "-Infinity", -0.0, 2**53 + 2, 1e-300]
    metrics = [
        {"name": f"m{place}", "value": value, "step": step, "timestamp": BEGAN + step + place / 8}
        for step in range(3)
        for place, value in enumerate(values)
    ]
    body = {"workload_uid": workload, "run_id": "r", "metrics": metrics}
    assert server.post("/wandb/metrics", body).is_success
    body["metrics"] = [{"name": "m0", "value": 9, "step": 1, "timestamp": BEGAN + 60}]
    assert server.post("/wandb/metrics", body).is_success
    logged = [{"step": 9, "data": {"m0": "a word", "note": "NaN?", "m1": 4}, "timestamp": BEGAN}]
    assert server.post(
        "/wandb/logs", {"workload_uid": workload, "run_id": "r", "logs": logged}
    ).is_success
    told = {
        (row["metric_name"], row["iteration"], row["timestamp"], repr(float(row["value"])))
        for row in server.get(f"/workloads/{workload}/metrics/data").json()["data"]
    }
    rows = read("SELECT * FROM lens_points WHERE workload_uid = $1", given=[workload])
    assert {
        (row["metric"], row["step"], round(row["time"].timestamp() * 1000), repr(row["value"]))
        for row in rows
    } == told
    assert {(row["run_id"], row["data_source"]) for row in rows} == {("r", "wandb")}


def test_runs_detections_and_the_fleet_are_views(server, read, workload):
    """What a run says of itself, what it runs on, and how far it is."""
    run_facts = {
        "name": "first",
        "project": "p",
        "state": "running",
        "started_at": BEGAN,
        "config": {"max_steps": 200, "lr": 0.5},
    }
    metrics = [{"name": "loss", "value": 0.5, "step": 50, "timestamp": BEGAN}]
    body = {"workload_uid": workload, "run_id": "r", "metrics": metrics, "run": run_facts}
    assert server.post("/wandb/metrics", body).is_success
    evidence = {"wrapper_frameworks": {"primus": {"detected": True, "initialized": True}}}
    detected = {"workload_uid": workload, "evidence": evidence}
    assert server.post("/wandb/detection", detected).is_success
    [of_run] = read(
        "SELECT *, config ->> 'lr' AS lr FROM lens_runs WHERE workload_uid = $1", given=[workload]
    )
    assert of_run["time"].timestamp() == BEGAN
    assert (of_run["name"], of_run["state"], of_run["lr"]) == ("first", "running", "0.5")
    [detection] = read("SELECT * FROM lens_detections WHERE workload_uid = $1", given=[workload])
    assert detection["framework"] == "primus"
    [fleet] = read("SELECT * FROM lens_fleet WHERE workload_uid = $1", given=[workload])
    assert (fleet["framework"], fleet["last_step"], fleet["target_step"]) == ("primus", 50, 200)
    assert (fleet["progress"], fleet["loss_metric"], fleet["loss"]) == (0.25, "loss", 0.5)
    [metric] = read("SELECT * FROM lens_metrics WHERE workload_uid = $1", given=[workload])
    assert dict(metric) == {
        "workload_uid": workload,
        "metric": "loss",
        "data_source": "wandb",
        "run_id": "r",
    }


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM public.training_performance",
        "SELECT * FROM public.api_token",
        "SELECT * FROM public.run_last",
        "DELETE FROM public.training_run",
        "DELETE FROM lens_points",
        "INSERT INTO public.training_run VALUES ('a', 1, 'b', now())",
        "UPDATE public.framework_detection SET framework = 'x'",
        "CREATE TABLE public.mine (n INT)",
        "CREATE TABLE lens_api.mine (n INT)",
        "CREATE ROLE mine",
        "SELECT lens_api.lens_make_reader('mine', 'x')",
        "SELECT lens_api.lens_grant_reading('mine')",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ],
)
def test_the_role_is_refused_everything_else(read, statement):
    """Tables, writes and functions are refused by rights, even when it turns its defaults off."""
    with pytest.raises(
        (asyncpg.InsufficientPrivilegeError, asyncpg.ObjectNotInPrerequisiteStateError)
    ):
        read("SET default_transaction_read_only = off", statement)


def test_the_role_only_reads_and_not_for_long(read):
    """Read-only and a time limit are its defaults, and the views are found without a schema."""
    assert read("SHOW default_transaction_read_only")[0][0] == "on"
    assert read("SHOW statement_timeout")[0][0] == "15s"
    assert read("SELECT count(*) FROM lens_fleet")[0][0] >= 1


def test_repeating_the_command_keeps_the_role(odd_server, make_reader):
    """A role that is there keeps its password; what a newer version added is granted again."""
    _, name = make_reader(odd_server.dsn)
    again, _ = make_reader(odd_server.dsn, name)
    assert again.exit_code == 0
    assert again.stdout == ""
    assert "was there" in again.stderr


def test_an_account_that_may_not_make_roles_is_told_what_to_do(postgres, make_reader):
    """On a PostgreSQL of their own, people see which statement an administrator has to run."""
    owner, reader = f"owner_{uuid.uuid4().hex[:8]}", f"reader_{uuid.uuid4().hex[:8]}"

    async def prepare(*statements):
        connection = await asyncpg.connect(postgres)
        for statement in statements:
            await connection.execute(statement)
        await connection.close()

    asyncio.run(prepare(f"CREATE ROLE {owner} LOGIN", f"CREATE DATABASE {owner} OWNER {owner}"))
    dsn = postgres.replace("/primus_lens?", f"/{owner}?") + f"&user={owner}"
    refused, _ = make_reader(dsn, reader)
    assert refused.exit_code == 2
    assert f"CREATE ROLE {reader} LOGIN" in refused.stderr
    asyncio.run(prepare(f"CREATE ROLE {reader} LOGIN"))
    granted, _ = make_reader(dsn, reader)
    assert granted.exit_code == 0, granted.stderr

    async def count():
        connection = await asyncpg.connect(dsn.replace(f"user={owner}", f"user={reader}"))
        found = await connection.fetchval("SELECT count(*) FROM lens_api.lens_points")
        await connection.close()
        return found

    assert asyncio.run(count()) == 0
