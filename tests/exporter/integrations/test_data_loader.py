"""DataLoader workers and torchrun: nothing hangs, nothing comes twice, every row arrives."""

import collections
import json
import subprocess

import oracle
import pytest
from receiver import Once
from wandb_cloud import WandbCloud

pytestmark = pytest.mark.timeout(300)

ROWS = 16  # of the data set below
WITHIN_S = 90  # a machine that runs other tests beside it may need a third of that

# How: the start method of the workers. Logs: what they log each time they are asked for a row. With
# the public API alive in the parent and let go in a forked child, wandb 0.25.1 and later may hang
# (wandb#12079).
TRAIN = """
import os
import torch, wandb
from torch.utils.data import DataLoader, Dataset, get_worker_info

HOW, LOGS = os.environ["HOW"], os.environ["LOGS"]
api = None

class Rows(Dataset):
    def __len__(self):
        return 16

    def __getitem__(self, n):
        if LOGS != "nothing":
            wandb.log({"seen": n}, step=self.first + n)
        return torch.tensor(float(n))

def begin(worker):
    global api
    api = None
    if LOGS == "runs of their own":
        wandb.init(project="p", id=f"worker-{os.getpid()}", reinit=True)
    get_worker_info().dataset.first = 0 if LOGS == "runs of their own" else 1000

def main():
    global api
    if "WANDB_API_KEY" in os.environ:
        api = wandb.Api()
    run = wandb.init(project="p", id="r1")
    for epoch in range(2):
        loader = DataLoader(Rows(), batch_size=4, num_workers=2, multiprocessing_context=HOW,
                            worker_init_fn=begin)
        for n, batch in enumerate(loader):
            run.log({"mean": batch.mean().item()}, step=epoch * 4 + n)
    run.finish()
    print("done", flush=True)

if __name__ == "__main__":
    main()
"""


@pytest.fixture(autouse=True)
def _takes_each_record_once(receiver):
    """What a worker had sent before it died, its parent may send again under the same keys."""
    receiver.answer = Once()


def ends(job):
    """Run the training script: "done", or "hangs" when it does not end within a generous while."""
    process = job.start(TRAIN)
    try:
        out, err = process.communicate(timeout=WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return "hangs"
    assert process.returncode == 0, err
    assert "[primus-lens]" not in err, err
    return out.strip()


def train(job, how, logs):
    """Train; where that hangs, show that wandb hangs without us too, and leave it at that."""
    job.env.update(HOW=how, LOGS=logs)
    if ends(job) == "done":
        return
    job.env["PRIMUS_LENS_WANDB_HOOK"] = "false"
    assert ends(job) == "hangs", "it hangs with the exporter and not without it"
    pytest.skip("wandb itself hangs in forked workers, with the exporter and without it")


def count(receiver, name):
    """How often each step of a metric came."""
    return collections.Counter(p["step"] for p in receiver.points() if p["name"] == name)


@pytest.mark.parametrize("how", ["fork", "spawn", "forkserver"])
def test_workers_that_log_nothing_change_nothing(job, receiver, how):
    """The rows of the training process arrive, each once, and no worker has a stream."""
    train(job, how, "nothing")
    assert receiver.curves("r1") == oracle.rows(job.file("r1"))
    assert count(receiver, "mean") == dict.fromkeys(range(8), 1)
    assert len({request.stream for request in receiver.metrics() if request.key}) == 1
    assert job.streams() == []


def test_workers_may_log_to_the_run_they_were_forked_from(job, receiver):
    """What workers log to the run of the training process arrives, each row once an epoch."""
    train(job, "fork", "the run of the parent")
    assert count(receiver, "mean") == dict.fromkeys(range(8), 1)
    assert count(receiver, "seen") == dict.fromkeys(range(1000, 1000 + ROWS), 2)
    assert {point["value"] for point in receiver.points() if point["step"] == 1007} == {7}
    assert job.streams() == []


@pytest.mark.parametrize("how", ["fork", "spawn", "forkserver"])
def test_workers_may_have_runs_of_their_own(job, receiver, how):
    """Each worker's rows arrive under its own run, each once, by the end of the training."""
    train(job, how, "runs of their own")
    assert count(receiver, "mean") == dict.fromkeys(range(8), 1)
    assert count(receiver, "seen") == dict.fromkeys(range(ROWS), 2)
    assert len({request.body["run_id"] for request in receiver.metrics()}) == 5
    # The parent of a worker that nobody spawned knows no run of it; the next start says it crashed.
    assert job.streams() == [] or how == "forkserver"


def test_a_public_api_that_forked_workers_let_go_does_no_harm(job, receiver):
    """With a wandb.Api alive across the fork the job ends as it does without us."""
    cloud = WandbCloud()
    job.env.update(WANDB_BASE_URL=cloud.url, WANDB_API_KEY="0" * 40)
    try:
        train(job, "fork", "the run of the parent")
    finally:
        cloud.close()
    assert count(receiver, "seen") == dict.fromkeys(range(1000, 1000 + ROWS), 2)


RANK = """
import os, torch, wandb
import torch.distributed as dist
dist.init_process_group("gloo")
rank = dist.get_rank()
with wandb.init(project="p", id=f"rank{rank}") as run:
    for i in range(20):
        total = torch.tensor(float(rank + i))
        dist.all_reduce(total)
        run.log({"total": total.item(), "mine": rank + i})
dist.destroy_process_group()
"""


def test_torchrun(job, receiver):
    """Two ranks of a real torchrun: two runs that say where they stand, rows and files of each."""
    (job.home / "rank.py").write_text(RANK)
    job.env.update(PRIMUS_LENS_WANDB_OUTPUT_PATH=str(job.home / "out"), OMP_NUM_THREADS="1")
    words = ("--standalone", "--nproc-per-node", "2", "rank.py")
    done = subprocess.run(
        [job.python, "-m", "torch.distributed.run", *words],
        cwd=job.home,
        env=job.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "[primus-lens]" not in done.stderr
    for rank in range(2):
        run_id = f"rank{rank}"
        assert receiver.curves(run_id) == oracle.rows(job.file(run_id))
        assert len(receiver.points(run_id)) == 40
        facts = receiver.run_facts(run_id)
        place = [facts[name] for name in ("rank", "local_rank", "node_rank", "world_size")]
        assert place == [rank, rank, 0, 2]
        assert facts["state"] == "finished"
        path = job.home / "out" / "node_0" / f"rank_{rank}" / "wandb_metrics.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert [(row["run_id"], row["step"]) for row in rows] == [(run_id, n) for n in range(20)]
    assert job.streams() == []
