"""What one process keeps: settings, recorders, sender; and what fork and exit do to them."""

import atexit
import json
import os
import sys
import time
from typing import Any, Optional

from primus_lens_wandb_exporter import (
    __version__,
    _errors,
    _extras,
    _frames,
    _guard,
    _identity,
    _recorder,
    _run_facts,
    _sender,
    _settings,
    _spool,
    _system,
)


class Process:
    """The exporter within one process.

    env: the environment when wandb was imported, copied once. recorders: by run id.
    extras: what each row is given in passing. family: shared with forked children, in the heads of
    their streams; forked: whether there are any.
    """

    def __init__(self, env: dict[str, str]) -> None:
        self.env = env
        self.settings = _settings.read(env)
        self.identity = _identity.from_env(env)
        self.recorders: dict[str, Optional[_recorder.Recorder]] = {}
        self.extras = _extras.Extras()
        self.family, self.forked = os.urandom(8).hex(), False
        self.heir_lives = False  # a parent whose thread delivers what this forked child leaves
        self._ends_with_multiprocessing = False
        self.writes = self.settings.reporting or bool(
            self.settings.save_local and self.settings.output_path
        )
        self.sender = self._new_sender()
        self.inherited: dict[str, int] = {}
        if self.settings.mark_rows:
            self.extras.put({_extras.MARK: True})
        _errors.debug = self.settings.debug
        for text in self.settings.bad:
            _errors.tell("setting", f"{text} cannot be read; the default is used")

    def _new_sender(self) -> _sender.Sender:
        sampler = _system.Sampler(self.extras) if self.settings.enhance else None
        return _sender.Sender(self.settings, self.env, sampler)

    def recorder_of(self, interface: Any) -> Optional[_recorder.Recorder]:
        """Return the recorder of the run an interface publishes for, made on first use.

        A run this process did not start (wandb.attach, a forked child, a hook installed late) gets
        one that does not claim to know wandb's step numbers.
        """
        run_id = interface._stream_id  # noqa: SLF001 - wandb's own name for the run id, 0.15 to 0.31
        try:
            return self.recorders[run_id]
        except KeyError:
            return self.open(run_id, owned=False)

    def run_started(self, interface: Any, run: Any) -> None:
        """Take note of a run this process starts. run: wandb's RunRecord."""
        run_id = interface._stream_id or run.run_id  # noqa: SLF001 - as above
        recorder = self.open(run_id, owned=True)
        if recorder is not None:
            recorder.step = run.starting_step
            recorder.shared = _run_facts.is_shared(run)
            recorder.fact(_frames.RUN, _run_facts.of_run(run))

    def open(self, run_id: str, *, owned: bool) -> Optional[_recorder.Recorder]:
        """Open a new stream for a run; None when nothing wants its rows."""
        recorder = None
        if run_id and self.writes:
            stream = f"{os.getpid()}-{os.urandom(8).hex()}"
            spool = _spool.Spool(
                os.path.join(self.settings.spool_dir, stream),
                self.head(run_id, stream, owned=owned),
                self.settings.spool_bytes,
                self.sender.wake,
            )
            recorder = _recorder.Recorder(run_id, stream, spool, owned=owned)
            recorder.step = self.inherited.get(run_id, 0)
            self.sender.follow(recorder, json.loads(spool.head))
        self.recorders[run_id] = recorder
        if recorder is not None:
            with _guard.guard("thread"):  # without a thread rows still wait on the disk
                self.sender.start()
                self._finish_with_multiprocessing()
        return recorder

    def _finish_with_multiprocessing(self) -> None:
        """Send what is left when multiprocessing ends this child: it skips atexit."""
        util = sys.modules.get("multiprocessing.util")
        if util is None or self.heir_lives or self._ends_with_multiprocessing:
            return
        if _skips_atexit():
            self._ends_with_multiprocessing = True
            finish = _guard.guarded("exit", lambda: self.sender.finish(_sender.EXIT_S))
            util.Finalize(None, finish, exitpriority=-100)

    def head(self, run_id: str, stream: str, *, owned: bool) -> bytes:
        """Return the frame that opens each segment: all a stranger needs to deliver it."""
        head = {
            "stream": stream,
            "run_id": run_id,
            "owned": owned,
            "family": self.family,
            "identity": self.identity.plain(),
            "base_url": self.settings.base_url,
            "version": __version__,
            "pid": os.getpid(),
            "opened_at": time.time(),
        }
        return json.dumps(head).encode()

    def run_ended(self, recorder: _recorder.Recorder, exit_code: int) -> None:
        """Take note that a run has ended; a later run of the same id opens a new stream."""
        recorder.end(exit_code)
        self.sender.wake()

    def before_exit(self) -> None:
        """End the runs nobody finished, then send what is left, for at most two seconds.

        wandb 0.18 and later end such runs in their service, past our taps, with the exit code that
        their own hook around sys.exit and sys.excepthook saw; it is read from there.
        """
        for recorder in list(self.recorders.values()):
            if recorder is not None and recorder.started and not recorder.ended:
                with _guard.guard("exit"):
                    recorder.end(_exit_code())
                    recorder.file_is_whole()
        if self.forked:
            self.sender.heir_of = self.family
        self.sender.finish(_sender.EXIT_S)

    def after_fork_in_parent(self) -> None:
        """Remember that there is a child, which may leave rows behind: DataLoader workers do."""
        self.forked = True

    def after_fork_in_child(self) -> None:
        """Start the child empty: its own streams, locks and sender, the parent's left alone."""
        parents = [recorder for recorder in self.recorders.values() if recorder is not None]
        self.recorders.clear()
        self.forked, self._ends_with_multiprocessing = False, False
        self.heir_lives = self.heir_lives or self.sender.runs
        for parent in parents:
            parent.spool.close()
        self.sender.abandon()
        self.sender = self._new_sender()
        self.inherited = {parent.run_id: parent.step for parent in parents if not parent.ended}


def _skips_atexit() -> bool:
    """Say whether multiprocessing will end this process by os._exit: unless it was spawned.

    A spawned child has this word on its command line; Python 3.9 does not tell, and is not asked.
    """
    module = sys.modules.get("multiprocessing.process")
    words = getattr(sys, "orig_argv", None)
    if module is None or words is None or "--multiprocessing-fork" in words:
        return False
    return module.parent_process() is not None


def _exit_code() -> int:
    """Return the exit code wandb's hooks saw; without them, 1 after an uncaught exception."""
    for hooked in (sys.exit, sys.excepthook):
        code = getattr(getattr(hooked, "__self__", None), "exit_code", None)
        if isinstance(code, int):
            return code
    return int(getattr(sys, "last_value", None) is not None)


_started: dict[str, Process] = {}


def start() -> Process:
    """Return this process's exporter, made on the first call."""
    process = _started.get("process")
    if process is None:
        process = _started["process"] = Process(dict(os.environ))
        atexit.register(_guard.guarded("exit", process.before_exit))
        os.register_at_fork(
            after_in_child=_guard.guarded("fork", process.after_fork_in_child),
            after_in_parent=_guard.guarded("fork", process.after_fork_in_parent),
        )
    return process
