"""Streams without wandb: rows are put into a spool and a sender is driven by hand."""

import json

from primus_lens_wandb_exporter import (
    _frames,
    _identity,
    _recorder,
    _sender,
    _settings,
    _spool,
)


class Bench:
    """A sender driven by hand: rows go in, `tick` looks once, the clock of the back-off is ours."""

    def __init__(self, folder, url, **variables):
        self.env = {
            "PRIMUS_LENS_API_BASE_URL": url,
            "PRIMUS_LENS_WANDB_SPOOL_DIR": str(folder),
            "PRIMUS_LENS_WANDB_FLUSH_INTERVAL": "0.05",
            "PRIMUS_LENS_WANDB_BATCH_SIZE": "1",
            "POD_NAME": "pod-1",
            **variables,
        }
        self.settings = _settings.read(self.env)
        self.sender = _sender.Sender(self.settings, self.env, None)
        self.made = 0

    def stream(self, run_id="r1", *, owned=True, name=""):
        """Open a stream of a run, followed by the sender. name: where several processes report."""
        self.made += 1
        head = {
            "stream": name or f"s{self.made}",
            "run_id": run_id,
            "owned": owned,
            "opened_at": 900.0,
            "identity": _identity.from_env(self.env).plain(),
            "base_url": self.settings.base_url,
        }
        folder = f"{self.settings.spool_dir}/{head['stream']}"
        spool = _spool.Spool(folder, json.dumps(head).encode(), self.settings.spool_bytes)
        recorder = _recorder.Recorder(run_id, head["stream"], spool, owned=owned)
        self.sender.follow(recorder, head)
        return recorder

    def tick(self, times=1):
        """Look at the spool, as if every back-off were over."""
        for _ in range(times):
            self.sender._next_try = 0.0
            self.sender._next_adoption = float("inf")
            self.sender.tick()

    def settle(self):
        """Tick until nothing is left to deliver."""
        for _ in range(200):
            self.tick()
            if all(feed.idle() for feed in self.sender.live + self.sender.left):
                return
        raise AssertionError("something never got delivered")

    def die(self):
        """Leave the streams behind as a killed process does."""
        for feed in self.sender.live:
            feed.source.recorder.spool.close()
        self.sender.transport.close()


def log(recorder, first, last, width=2, pad=""):
    """Log one row for each step, with `width` points in it."""
    for step in range(first, last):
        values = {f"m{n}{pad}": step * 10 + n for n in range(width)}
        payload = json.dumps({"at": 1000.0 + step, "values": values}).encode()
        with recorder.lock:
            recorder.row(_frames.PLAIN_ROW, None, True, payload)


def steps(receiver, run_id="r1"):
    """Return the steps of the accepted points, in order of arrival."""
    return [point["step"] for point in receiver.points(run_id) if point["name"].startswith("m0")]


def adopt(folder, receiver):
    """Let another process's sender deliver what is in the folder."""
    heir = Bench(folder, receiver.url)
    heir.sender.adopt()
    heir.settle()
    heir.tick(2)
    heir.die()
