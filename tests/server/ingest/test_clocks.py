"""What is newest of a run whose clock is wrong: told over HTTP, read off the fleet."""

import time

import pytest

from primus_lens.ingest import clocks

HOUR = 3600.0


@pytest.mark.parametrize("off_s", [-59.0, 0.0, 59.0, None])
def test_clock_that_may_be_right_is_believed(off_s):
    """Within a minute a request may have been on its way; without a time nothing is known."""
    sent = None if off_s is None else 1e9 + off_s
    assert clocks.behind_s(sent, now=1e9) == 0


@pytest.mark.parametrize("off_s", [-1e8, -61.0, 61.0, 1e8])
def test_time_of_a_wrong_clock_is_told_by_ours(off_s):
    """What a clock said five seconds before it sent was five seconds before it came."""
    behind_s = clocks.behind_s(1e9 + off_s, now=1e9)
    assert clocks.by_ours(1e9 + off_s - 5, behind_s=behind_s, now=1e9) == 1e9 - 5


def test_nothing_was_logged_after_it_came():
    """A time that is still to come is of a clock set back since; it counts for a minute."""
    assert clocks.by_ours(1e9 + HOUR, behind_s=0, now=1e9) == 1e9 + clocks.SLACK_S
    assert clocks.by_ours(1e9 + 59, behind_s=0, now=1e9) == 1e9 + 59


class Job:
    """A process that reports a run: its own stream, its own clock."""

    def __init__(self, server, workload, stream="", *, clock_s=0.0, age_s=0.0):
        """clock_s: by how much its clock is ahead. age_s: how long ago it began."""
        self._server = server
        self._workload = workload
        self._stream = f"{workload}{stream}"
        self._record = 0
        self._began = time.time() + clock_s - age_s
        self.clock_s = clock_s

    def log(self, step, *, ago_s=0.0):
        """Send a row that was logged some time ago, as its clock says."""
        at = time.time() + self.clock_s - ago_s
        metric = {"name": "loss", "value": step, "step": step, "timestamp": at}
        self._send(metrics=[metric])

    def say(self, state, *, numbered=True, **more):
        """Tell the state of the run, in a record unless it is said about a dead one."""
        self._send(numbered=numbered, run={"state": state, "attempt": self._began, **more})

    def _send(self, *, numbered=True, **said):
        self._record += 1
        sent = time.time() + self.clock_s
        body = {"workload_uid": self._workload, "run_id": "r", "timestamp": sent, "metrics": []}
        key = {"Idempotency-Key": f"{self._stream}/{self._record}"} if numbered else {}
        assert self._server.post("/wandb/metrics", {**body, **said}, **key).status_code == 200


def newest(server, workload):
    """The newest step of a workload and its value, as the fleet tells them."""
    [row] = server.get("/workloads", q=workload).json()["workloads"]
    assert row["loss"]["value"] == row["last_step"] == row["last_values"]["loss"]
    assert row["sparkline"][-1] == row["last_step"]
    return row["last_step"]


@pytest.mark.parametrize("jump_s", [-HOUR, HOUR, -1e9])
def test_clock_that_jumps_leaves_the_fleet_moving(server, workload, jump_s):
    """After a jump the fleet shows what was logged last; a backlog changes nothing."""
    job = Job(server, workload)
    job.log(1)
    job.clock_s = jump_s
    job.log(3)
    assert newest(server, workload) == 3
    job.log(2, ago_s=10)
    assert newest(server, workload) == 3
    job.clock_s = 0.0
    job.log(4)
    assert newest(server, workload) == 4


@pytest.mark.parametrize("clock_s", [-HOUR, 0, HOUR])
def test_backlog_is_not_the_newest_whatever_the_clock(server, workload, clock_s):
    """What was logged earlier and comes later fills in curves, not the newest values."""
    job = Job(server, workload, clock_s=clock_s)
    job.log(9)
    job.log(5, ago_s=100)
    assert newest(server, workload) == 9
    assert set(server.points(workload)) == {("loss", 5), ("loss", 9)}


def test_times_of_points_are_the_jobs(server, workload):
    """A wrong clock's times stand in the curve as the job logged them."""
    job = Job(server, workload, clock_s=-1e9)
    before = time.time()
    job.log(1)
    [point] = server.get(f"/workloads/{workload}/metrics/data").json()["data"]
    assert before - 1e9 <= point["timestamp"] / 1000 + 0.001 <= time.time() - 1e9 + 0.002


def state(server, workload):
    """What the one run of a workload says of itself."""
    [run] = server.get(f"/workloads/{workload}").json()["runs"]
    return run["state"]


@pytest.mark.parametrize(
    "first_s, second_s", [(0.0, -HOUR), (HOUR, 0.0), (0.0, HOUR), (-HOUR, 0.0), (HOUR, -HOUR)]
)
def test_restart_on_a_node_with_another_clock_is_the_later_attempt(
    server, workload, first_s, second_s
):
    """Whichever clock is wrong, the run is what its newest attempt says, late words or not."""
    first = Job(server, workload, "-first", clock_s=first_s, age_s=600)
    first.say("running", name="n")
    first.log(1)
    second = Job(server, workload, "-second", clock_s=second_s)
    second.say("running")
    second.log(2)
    first.clock_s = second_s  # who takes over the spool of the dead speaks for it, by its own clock
    first.say("crashed", numbered=False)
    first.say("failed", exit_code=1)
    assert state(server, workload) == "running"
    assert newest(server, workload) == 2
    second.say("finished")
    assert state(server, workload) == "finished"


def test_attempt_that_is_found_late_is_not_the_later_one(server, workload):
    """A spool of an unheard attempt, delivered after the next began, is the earlier one."""
    second = Job(server, workload, "-second")
    second.say("running")
    second.log(2)
    first = Job(server, workload, "-first", age_s=600)
    first.say("crashed")
    first.log(1, ago_s=500)
    assert state(server, workload) == "running"
    assert newest(server, workload) == 2


def test_sender_that_makes_every_word_an_attempt_is_kept_in_bounds(server, workload):
    """What is remembered of attempts is bounded; the newest still speaks for the run."""
    for age_s in range(300, 0, -1):
        Job(server, workload, f"-{age_s}", age_s=age_s).say("running", name=str(age_s))
    size = "SELECT pg_column_size(attempts) AS size FROM training_run WHERE workload_uid = $1"
    assert server.sql(size, workload)[0]["size"] < 5000
    [run] = server.get(f"/workloads/{workload}").json()["runs"]
    assert run["name"] == "1"
