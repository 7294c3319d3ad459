"""The promises at full size: bursts, thirty kills, a full disk, a thousand damages, secrets."""

import itertools
import json
import os
import random
import select
import shutil
import subprocess
import sys

import psutil
import pytest
from receiver import accept, refuse
from streams import Bench, adopt, log, steps
from test_process_life import DOWN, drain

from primus_lens_wandb_exporter import _frames

BURST = """
import wandb
run = wandb.init(project="p", id="r1")
for i in range(10_000):
    wandb.log({f"m{n}": i * 10 + n for n in range(10)})
run.finish()
"""


def test_burst_of_100_000_points_arrives_before_the_process_ends(job, receiver):
    """A hundred thousand points logged at full speed: a hundred thousand arrive, none twice."""
    job.run(BURST)
    sent = [(point["name"], point["step"], point["value"]) for point in receiver.points("r1")]
    assert len(sent) == len(set(sent)) == 100_000
    assert {value for _, _, value in sent} == set(range(100_000))
    assert job.streams() == []


# One interpreter with wandb imported forks the jobs to be killed, which saves 30 imports of it. A
# job says on its pipe how many calls of wandb.log have returned.
FORKS = """
import os, sys
import wandb
for line in sys.stdin:
    name = line.strip()
    child = os.fork()
    if child:
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        sys.stdin.readline()
        os.waitpid(child, 0)
    else:
        run = wandb.init(project="p", id=name)
        for i in range(10**9):
            run.log({"i": i, "half": i / 2})
            os.write(1, b"%d\\n" % i)
"""


class Said:
    """The numbers a job has written to its pipe, read past any buffer that could hold some back."""

    def __init__(self, fd):
        self.fd, self.text = fd, b""

    def last(self):
        """The newest whole number."""
        whole = self.text.rpartition(b"\n")[0]
        return int(whole.rpartition(b"\n")[2] or -1)

    def wait_for(self, enough):
        """Read on until a number is reached."""
        while self.last() < enough:
            self.text += os.read(self.fd, 1 << 16)

    def all(self):
        """The last number there is."""
        while select.select([self.fd], [], [], 0)[0]:
            self.text += os.read(self.fd, 1 << 16)
        return self.last()


def test_thirty_kills_lose_no_row_that_was_logged(job, receiver):
    """SIGKILL at any instant: each row whose call had returned arrives, and at most one more."""
    receiver.answer = DOWN
    parent = job.start(FORKS)
    luck = random.Random(11)
    logged = {}
    for number in range(30):
        name = f"r{number}"
        parent.stdin.write(f"{name}\n")
        parent.stdin.flush()
        said = Said(parent.stdout.fileno())
        said.wait_for(luck.randrange(1, 400))
        [child] = psutil.Process(parent.pid).children()
        child.kill()
        while child.status() != psutil.STATUS_ZOMBIE:
            pass  # until it is dead, more rows may come
        logged[name] = said.all()
        parent.stdin.write("bury it\n")
        parent.stdin.flush()
    parent.kill()
    parent.communicate()

    receiver.answer = accept
    drain(job)
    for name, last in logged.items():
        curves = receiver.curves(name)
        rows = {step: {"i": step, "half": step / 2} for step in range(len(curves))}
        assert curves == rows
        assert len(curves) in (last + 1, last + 2), name


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a small file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_full_disk_is_never_the_jobs_problem(job, receiver, small_disk):
    """A spool on a full disk: the job ends well, and received plus gaps is what it logged."""
    (small_disk / "other").write_bytes(b"x" * (100 << 10))
    job.env["PRIMUS_LENS_WANDB_SPOOL_DIR"] = str(small_disk)
    job.env["PRIMUS_LENS_WANDB_SPOOL_BYTES"] = str(400 << 10)  # more than the disk has
    receiver.answer = DOWN
    process = job.start("""
import sys, wandb
run = wandb.init(project="p", id="r1")
for i in range(10_000):
    run.log({f"metric/number/{n}": i for n in range(10)})
print("logged", flush=True)
sys.stdin.readline()
run.finish()
""")
    assert process.stdout.readline() == "logged\n"
    receiver.answer = accept
    receiver.wait_for(lambda r: 9_999 in r.curves("r1") and not _seams(_told(r)))
    _, err = process.communicate("\n", timeout=60)
    assert process.returncode == 0, err

    told = _told(receiver)
    assert _seams(told) == []
    assert told[0][0] == 1
    assert told[-1][1] >= 10_000  # rows, and what was said of the run
    lost = sum(last - first + 1 for first, last in _gaps(receiver))
    assert 0 < 10_000 - len(receiver.curves("r1")) <= lost


def _told(receiver):
    """Return the ranges of records that arrived or were told as lost, in order."""
    return sorted(_gaps(receiver) + [r.span for r in receiver.metrics() if r.key])


def _gaps(receiver):
    return [(gap["first"], gap["last"]) for gap in receiver.gaps()]


def _seams(told):
    """Return the neighbours between which a record is missing, or told twice."""
    return [(one, next_) for one, next_ in itertools.pairwise(told) if next_[0] != one[1] + 1]


ROWS = 120
DAMAGES = 1_000


def test_thousand_damages_cost_the_damaged_records_alone(tmp_path, receiver):
    """Flipped, cut, torn-out and inserted bytes: every intact record arrives, none is bent."""
    whole = tmp_path / "whole"
    receiver.answer = refuse(503)
    bench = Bench(whole, receiver.url)
    log(bench.stream(), 0, ROWS)
    bench.die()
    [path] = whole.glob("primus-lens-*/s1/*.seg")
    data = path.read_bytes()
    frames = bounds(data)
    receiver.answer = accept

    for seed in range(DAMAGES):
        luck = random.Random(seed)
        damaged, touched = damage(data, luck)
        place = tmp_path / "damaged"
        shutil.copytree(whole, place)
        next(place.glob("primus-lens-*/s1/*.seg")).write_bytes(damaged)
        receiver.requests.clear()
        receiver.accepted.clear()
        adopt(place, receiver)
        got = steps(receiver)
        intact = {
            step
            for step, (first, last) in frames.items()
            if not any(first < end and begin < last for begin, end in touched)
        }
        assert intact <= set(got), f"seed {seed}: lost {sorted(intact - set(got))}"
        assert all(p["value"] == p["step"] * 10 + int(p["name"][1:]) for p in receiver.points())
        shutil.rmtree(place)


def bounds(data):
    """Where the frame of each row lies: step to (first byte, byte after the last)."""
    found, before = {}, 0
    for after, frame in _frames.scan(data):
        if frame.kind == _frames.PLAIN_ROW:
            found[frame.step] = (before, after)
        before = after
    assert len(found) == ROWS
    return found


def damage(data, luck):
    """Damaged bytes, and the ranges of the original that the damage touches.

    The first frames, which say whose stream it is, are left alone: without them there is nobody to
    deliver to.
    """
    start = bounds(data)[0][0]
    at = luck.randrange(start, len(data))
    kind = luck.choice(["flip", "cut", "insert", "remove"])
    if kind == "flip":
        changed = bytearray(data)
        places = [luck.randrange(start, len(data)) for _ in range(luck.randint(1, 8))]
        for place in places:
            changed[place] ^= luck.randint(1, 255)
        return bytes(changed), [(place, place + 1) for place in places]
    if kind == "cut":
        return data[:at], [(at, len(data))]
    if kind == "insert":
        return data[:at] + luck.randbytes(luck.randint(1, 50)) + data[at:], [(at, at)]
    end = min(len(data), at + luck.randint(1, 50))
    return data[:at] + data[end:], [(at, end)]


def word(seed):
    """A secret that looks like one: 32 random letters and digits."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    return "".join(random.Random(seed).choices(letters, k=32))


def test_fifty_secrets_stay_in_the_container(job, receiver):
    """Environment, nested config, URLs, argv: on no wire, in no spool, in no log of ours."""
    secrets = [word(seed) for seed in range(50)]
    plain = iter(secrets)
    for name in ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "MY_THING", "OPENAI_API_KEY"):
        job.env[name] = next(plain)
    for name in ("DEEPSPEED_CONFIG", "MEGATRON_LM_PATH", "PRIMUS_EXP_NAME", "JAX_PLATFORMS"):
        job.env[name] = f"https://user:{next(plain)}@host/path?token={next(plain)}"
    job.env["HTTPS_PROXY_NOTE"] = f"http://u:{next(plain)}@proxy"
    config = {
        "api_key": next(plain),
        "password": next(plain),
        "model": {"hub_token": next(plain), "name": f"https://x:{next(plain)}@hub/model"},
        "data": [{"url": f"s3://key:{next(plain)}@bucket"}, next(plain)],
        "optimizer": {"inner": {"deep": {"secret": next(plain)}}},
        "framework": next(plain),
        "trainer": f"--token={next(plain)}",
        "learning_rate": next(plain),
        next(plain): 1,
    }
    later = {"late_key": next(plain), "batch_size": next(plain)}
    arguments = [f"--api-key={next(plain)}", "--password", next(plain), f"tok={next(plain)}"]
    rest = list(plain)
    config["many"] = dict(enumerate(rest))
    assert len(rest) > 10

    receiver.answer = DOWN
    job.start(
        f"""
import json, sys, wandb
sys.argv += {arguments!r}
run = wandb.init(project="p", id="r1", config=json.loads({json.dumps(config)!r}))
run.config.update(json.loads({json.dumps(later)!r}))
wandb.log({{"loss": 1}})
"""
    ).communicate(timeout=60)
    for place in [path for path in job.spool.rglob("*") if path.is_file()]:
        assert_clean(place.read_bytes(), secrets, place)
    assert list(job.spool.rglob("*.seg"))
    status = subprocess.run(
        [sys.executable, "-m", "primus_lens_wandb_exporter", "status"],
        env=job.env,
        capture_output=True,
        check=True,
    )
    assert_clean(status.stdout + status.stderr, secrets, "status")

    receiver.answer = accept
    process = job.start("import wandb\nrun = wandb.init(project='p', id='r2')\nrun.log({'a': 1})")
    out, err = process.communicate(timeout=60)
    drain(job)
    assert_clean((out + err).encode(), secrets, "output")
    assert receiver.curves("r1") == {0: {"loss": 1}}
    assert receiver.detections()
    for request in receiver.requests:
        assert_clean(json.dumps(request.body).encode(), secrets, request.path)
        assert_clean(json.dumps(request.headers).encode(), secrets, request.path)


def assert_clean(data, secrets, where):
    """No secret is in these bytes."""
    found = [secret for secret in secrets if secret.encode() in data]
    assert found == [], f"{len(found)} secrets in {where}"
