"""A row gets the step wandb's service will give it."""

import json
import threading
import types

import pytest

from primus_lens_wandb_exporter import _frames, _process, _recorder


class Spool:
    """Keeps what is appended."""

    def __init__(self):
        self.frames = []

    def append(self, kind, flags, step, payload):
        """Keep one record."""
        self.frames.append((kind, flags, step, payload))


@pytest.fixture
def recorder():
    """A recorder of a run this process started."""
    return _recorder.Recorder("r1", "s1", Spool(), owned=True)


def logged(recorder, *rows):
    """Log rows given as (step, commit) and return the (step, completes, advances) they got."""
    for step, commit in rows:
        flush = commit if commit is not None else step is None
        recorder.row(_frames.PLAIN_ROW, step, flush, b"{}")
    return [
        (step, bool(flags & _frames.FLUSHES), bool(flags & _frames.ADVANCES))
        for _, flags, step, _ in recorder.spool.frames
    ]


CASES = {
    "steps count up by themselves": ([(None, None)] * 3, [0, 1, 2]),
    "commit=False stays on the step": ([(None, False), (None, None), (None, None)], [0, 0, 1]),
    "a given step is kept open": ([(4, None), (4, None), (None, None)], [4, 4, 4]),
    "commit=True closes a given step": ([(4, True), (None, None)], [4, 5]),
    "a step behind is dropped": ([(9, None), (3, None), (9, None)], [9, 9]),
    "a negative step is dropped": ([(-1, None), (None, None)], [0]),
    "a step ahead closes the open one": ([(None, False), (7, None), (None, False)], [0, 7, 7]),
}


@pytest.mark.parametrize("case", CASES)
def test_steps_follow_wandbs_rules(recorder, case):
    """The rules of wandb's handler, one by one."""
    rows, steps = CASES[case]
    assert [step for step, _, _ in logged(recorder, *rows)] == steps


def test_a_resumed_run_goes_on_at_its_starting_step(tmp_path):
    """Wandb's starting_step is where the numbering begins."""
    env = {
        "PRIMUS_LENS_WANDB_SPOOL_DIR": str(tmp_path),
        "PRIMUS_LENS_API_BASE_URL": "http://127.0.0.1:9",
    }
    pb = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    process = _process.Process(env)
    process.sender.start = lambda: None
    run = pb.RunRecord(run_id="r1", starting_step=41)
    process.run_started(types.SimpleNamespace(_stream_id="r1"), run)
    recorder = process.recorders["r1"]
    recorder.spool = Spool()
    assert logged(recorder, (None, None), (None, None)) == [(41, True, False), (42, True, False)]


def test_rows_after_the_end_are_no_rows(recorder):
    """What is logged after finish is refused and counted."""
    recorder.end(0)
    logged(recorder, (None, None))
    assert recorder.refused == 1
    (end,) = recorder.spool.frames
    assert json.loads(end[3])["exit_code"] == 0


def test_rows_of_a_run_started_elsewhere_are_a_guess(recorder):
    """Without a given step such a row is marked; with one it is not, and none is dropped."""
    recorder.owned = False
    recorder.step = 10
    logged(recorder, (None, None), (5, None))
    unknown = [bool(flags & _frames.STEP_UNKNOWN) for _, flags, _, _ in recorder.spool.frames]
    assert unknown == [True, False]


def test_a_fact_does_not_wait_for_a_stuck_thread(recorder, monkeypatch):
    """While another thread hangs in wandb with the lock, a fact is given up, not waited for."""
    monkeypatch.setattr(_recorder, "_FACT_WAITS_S", 0.01)
    held, release = threading.Event(), threading.Event()

    def hang():
        with recorder.lock:
            held.set()
            release.wait(30)

    thread = threading.Thread(target=hang)
    thread.start()
    held.wait()
    with pytest.raises(TimeoutError, match="lock is held"):
        recorder.end(0)
    release.set()
    thread.join()


def test_logging_in_a_signal_handler_does_not_hang(job, receiver):
    """A handler that logs while its own thread is logging gets through."""
    job.run("""
import wandb
run = wandb.init(project="p", id="r1")
from primus_lens_wandb_exporter import _process
recorder = _process.start().recorders["r1"]
with recorder.lock:  # as a handler finds it in the middle of a publish
    wandb.log({"inside": 1})
run.finish()
""")
    assert receiver.curves("r1") == {0: {"inside": 1}}
