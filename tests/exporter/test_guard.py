"""What the job's own signal handlers raise while we are at work reaches the job."""

import functools
import signal

import pytest

from primus_lens_wandb_exporter import _errors, _guard


class TooLateError(Exception):
    """What a job's time limit raises."""


class Limit:
    """A handler in each of the shapes Python takes one."""

    def method(self, *_args):
        """Raise."""
        raise TooLateError("after 5 s")

    __call__ = method


HANDLERS = {
    "a method": Limit().method,
    "a callable": Limit(),
    "a partial": functools.partial(Limit.method, None),
}


@pytest.mark.parametrize("handler", HANDLERS)
def test_what_a_signal_handler_raises_is_not_swallowed(monkeypatch, handler):
    """A time limit that strikes within a guard is the job's, not an error of ours."""
    monkeypatch.setattr(_guard, "reraise", False)
    monkeypatch.setattr(_errors, "counts", {})
    before = signal.signal(signal.SIGALRM, HANDLERS[handler])
    try:
        with pytest.raises(TooLateError, match="after 5 s"), _guard.guard("here"):
            signal.raise_signal(signal.SIGALRM)
        with pytest.raises(TooLateError, match="after 5 s"):
            _guard.guarded("there", signal.raise_signal)(signal.SIGALRM)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert _errors.counts == {}


@pytest.mark.parametrize("kind", ["Exception", "KeyboardInterrupt"])
def test_an_interrupted_row_reaches_the_job_and_marks_the_next(job, receiver, kind):
    """The job gets its exception; from there on steps are marked as a guess, and the run ends."""
    out = job.run(f"""
import signal
import wandb
from primus_lens_wandb_exporter import _recorder
def late(*_):
    raise {kind}("late")
signal.signal(signal.SIGALRM, late)
run = wandb.init(project="p", id="r1")
row = _recorder.Recorder.row
def interrupted(*args):
    row(*args)
    signal.raise_signal(signal.SIGALRM)
wandb.log({{"a": 0}})
_recorder.Recorder.row = interrupted
try:
    wandb.log({{"a": 1}})
except {kind} as error:
    print(error)
_recorder.Recorder.row = row
wandb.log({{"a": 2}})
""")
    assert out == "late\n"
    assert [p.get("step_origin") for p in receiver.points()] == [None, None, "unknown"]
    assert receiver.run_facts()["state"] == "finished"
