"""Many processes of one job: each rank is a run of its own that says where in the job it stands."""

import json
import subprocess
import sys

import oracle
import pytest

# Stands for a launcher: starts one process a place, all at once, and waits for them.
LAUNCH = """
import json, os, subprocess, sys
places = json.load(sys.stdin)
ranks = [subprocess.Popen([sys.executable, "rank.py"], env={**os.environ, **p}) for p in places]
sys.exit(max(rank.wait() for rank in ranks))
"""

RANK = """
import os, wandb
rank = int(os.environ.get("RANK") or os.environ.get("SLURM_PROCID") or 0)
with wandb.init(project="p", id=f"rank{rank}") as run:
    for i in range(20): wandb.log({"i": i, "of": rank})
"""

# How each launcher tells a process its rank, its rank on its node, its node and how many there are.
LAUNCHERS = {
    "torchrun with NODE_RANK": ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE"),
    "torchrun": ("RANK", "LOCAL_RANK", "GROUP_RANK", "WORLD_SIZE"),
    "PyTorchJob": ("RANK", "LOCAL_RANK", "PET_NODE_RANK", "WORLD_SIZE"),
    "SLURM": ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_NTASKS"),
}
# (rank, local rank, node): all differ, so that none can be mistaken for another.
PLACES = {name: [(0, 0, 0), (3, 1, 2)] for name in LAUNCHERS}
PLACES["torchrun"] = [(0, 0, 0), (1, 1, 0), (2, 0, 1), (3, 1, 1)]
# What srun leaves in the environment of a torchrun it starts, and of that one's children.
LEFT_BY_SLURM = {"SLURM_PROCID": "9", "SLURM_LOCALID": "9", "SLURM_NODEID": "9"}


def launch(job, launcher, places):
    """Start a process for each (rank, local rank, node rank) and wait for all."""
    names = LAUNCHERS[launcher]
    rest = {} if launcher == "SLURM" else LEFT_BY_SLURM
    given = [{**rest, **dict(zip(names, map(str, (*p, 8)), strict=True))} for p in places]
    job.env["PRIMUS_LENS_WANDB_OUTPUT_PATH"] = str(job.home / "out")
    (job.home / "rank.py").write_text(RANK)
    done = subprocess.run(
        [sys.executable, "-c", LAUNCH],
        cwd=job.home,
        env=job.env,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def assert_each_rank_is_told(job, receiver, places, world_size):
    """Place, points and local file of each rank are its own, and no point came twice."""
    for rank, local_rank, node_rank in places:
        run_id = f"rank{rank}"
        facts = receiver.run_facts(run_id)
        names = ("rank", "local_rank", "node_rank", "world_size", "state")
        assert [facts[name] for name in names] == [
            rank,
            local_rank,
            node_rank,
            world_size,
            "finished",
        ]
        assert receiver.curves(run_id) == oracle.rows(job.file(run_id))
        assert len(receiver.points(run_id)) == 40
        folder = job.home / "out" / f"node_{node_rank}" / f"rank_{rank}"
        text = (folder / "wandb_metrics.jsonl").read_text()
        lines = [json.loads(line) for line in text.splitlines()]
        assert [(line["run_id"], line["step"], line["data"]) for line in lines] == [
            (run_id, i, {"i": i, "of": rank}) for i in range(20)
        ]
    assert len(receiver.points()) == 40 * len(places)
    assert len({request.stream for request in receiver.metrics() if request.key}) == len(places)
    assert job.streams() == []


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_each_rank_says_where_it_stands(job, receiver, launcher):
    """Processes of one job, all at once on one spool folder, are runs that say where they stand."""
    launch(job, launcher, PLACES[launcher])
    assert_each_rank_is_told(job, receiver, PLACES[launcher], 8)


def test_a_killed_rank_is_delivered_by_another(job, receiver):
    """What one rank could not send before it was killed, another of its node sends, as its."""
    job.env["PRIMUS_LENS_WANDB_FLUSH_INTERVAL"] = "3600"
    job.env.update(RANK="1", LOCAL_RANK="1", NODE_RANK="2", WORLD_SIZE="2")
    code = "run = wandb.init(project='p', id='rank1')\nfor i in range(20): run.log({'i': i})\n"
    killed = job.start(f"import os, wandb\n{code}os.kill(os.getpid(), 9)\n")
    assert killed.wait(60) == -9
    killed.communicate()
    job.env.update(RANK="0", LOCAL_RANK="0", PRIMUS_LENS_WANDB_FLUSH_INTERVAL="1")
    other = job.start("import wandb\nrun = wandb.init(project='p', id='rank0')\ninput()\n")
    receiver.wait_for(lambda r: r.run_facts("rank1").get("state") == "crashed")
    other.communicate("\n", timeout=60)
    assert other.returncode == 0
    assert receiver.curves("rank1") == {i: {"i": i} for i in range(20)}
    facts = receiver.run_facts("rank1")
    assert [facts[name] for name in ("rank", "local_rank", "node_rank")] == [1, 1, 2]
