"""Fourth room: give each logged row the step wandb will give it, and write it down.

wandb's service numbers the rows; these are its rules (core/internal/stream/handler.go,
handlePartialHistorySync, unchanged from the Python service of 0.15 to the Go one of 0.31). Only the
number is worked out here, in the training thread, so that a damaged row does not shift those after
it (docs/adr/0016-what-a-row-costs.md); the row itself goes to the spool as it is.
"""

import json
import threading
import time
from typing import Callable, Optional

from primus_lens_wandb_exporter import _frames, _guard, _spool, _wandb_file

_FACT_WAITS_S = 0.5
_WRITTEN_S = 10.0  # after which the end of a run is told that its file does not tell
_NO_STEP = 0  # what is said of a run belongs to no row


class Recorder:
    """What this process logs to one run.

    started: this process started the run, so it tells its end. owned: it alone numbers the rows,
    until one of them is interrupted. shared: it is one of several
    that write to the run (mode="shared"), which wandb's backend numbers, whatever step is given.
    value_field: where the items of its rows hold their values, as the first row shows.
    lock: held around wandb's own publish and our append together, so both see the rows in one
    order; re-entrant, since a signal handler may log too.
    """

    def __init__(self, run_id: str, stream: str, spool: _spool.Spool, *, owned: bool) -> None:
        self.run_id, self.stream, self.spool = run_id, stream, spool
        self.started = self.owned = owned
        self.lock = threading.RLock()
        self.step = 0
        self.shared = False
        self.value_field = ""
        self.ended = False
        self.refused = 0  # rows wandb itself drops: behind the current step, or after finish
        self._file: Optional[_wandb_file.WandbFile] = None
        self._whole_by = 0.0  # when the run's file is held for whole; 0 while the run goes on
        self._end = b""  # of a run read from its file: kept back until that is whole

    def row(self, kind: int, step: Optional[int], flush: bool, payload: bytes) -> None:  # noqa: FBT001
        """Number a row and append it. step: as given, or None. The lock is held.

        A step beyond the current one completes that; one behind it is dropped by wandb; flush
        completes the row's own step.
        """
        if self._file is not None:
            return
        at, flags = self.step, 0
        if self.ended or (step is not None and step < at and self.owned):
            self.refused += 1
            return
        if step is None:
            if self.shared or not self.owned:
                flags = _frames.STEP_UNKNOWN
        elif step != at:
            flags = _frames.ADVANCES
            self.step = at = step
        if flush:
            flags |= _frames.FLUSHES
            self.step = at + 1
        if at >= 0:
            self.spool.append(kind, flags, at, payload)

    def fact(self, kind: int, payload: bytes) -> None:
        """Append what is said about the run: its record, config, definitions or end.

        Another thread may be stuck in wandb's publish with the lock held; a fact is not worth
        waiting for that, least of all at exit.
        """
        if not self.lock.acquire(timeout=_FACT_WAITS_S):
            raise TimeoutError(f"no fact of kind {kind}: the lock is held")
        try:
            if self._file is not None and kind == _frames.EXIT:
                self._end = self._end or payload
            elif not self.ended:
                try:
                    self.spool.append(kind, 0, _NO_STEP, payload)
                finally:
                    self.ended = kind == _frames.EXIT  # only now: the sender deletes what has ended
        finally:
            self.lock.release()

    def end(self, exit_code: int) -> None:
        """Append the end of the run."""
        payload = json.dumps({"exit_code": exit_code, "at": time.time()}).encode()
        self.fact(_frames.EXIT, payload)

    def read_from(self, path: str) -> None:
        """Take the rows from here on from wandb's file of the run, not as they are logged."""
        with self.lock:
            if self._file is None and not self.ended:
                self._file = _wandb_file.WandbFile(path, self.step)

    def file_is_whole(self) -> None:
        """Take note that the run is over; what wandb's service still holds it writes presently."""
        self._whole_by = self._whole_by or time.monotonic() + _WRITTEN_S

    def copy_rows(self, pause: Callable[[], None], *, last: bool = False) -> None:
        """Append the rows that are new in wandb's file, in the sender's thread.

        pause: called after each, so that the training thread gets the interpreter. last: the
        process ends, and wandb's service before it.
        """
        file, whole_by = self._file, self._whole_by
        if file is None or self.ended:
            return
        whole = True  # as whole as it gets, if it cannot be read
        with _guard.guard("wandb_file"):
            before = -1
            while before != file.at:
                before = file.at
                for row in file.rows():
                    with self.lock:
                        flags = _frames.ADVANCES | _frames.FLUSHES
                        self.spool.append(_frames.ROW, flags, row.step, row.payload)
                    pause()
                if not whole_by:
                    return
            whole = last or file.ended or time.monotonic() > whole_by
        if whole and whole_by and self._end:
            with self.lock:
                self.spool.append(_frames.EXIT, 0, _NO_STEP, self._end)
                self.ended = True
