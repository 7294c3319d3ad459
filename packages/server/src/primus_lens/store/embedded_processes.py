"""Which PostgreSQL processes live in a directory, and how to make them leave it.

A number in postmaster.pid proves nothing: it may be a zombie's or another program's by now. What
counts is the directory a live process works in.
"""

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from primus_lens.model.errors import StoreUnavailable

log = logging.getLogger(__name__)

_NAMES = frozenset({"postgres", "initdb"})
_FAST_SHUTDOWN_S = 60.0  # its checkpoint may have gigabytes to write
_NOTICE_S = 5.0
_FORCED_S = 10.0
_POLL_S = 0.02


def working_in(
    directories: Iterable[Path], *, marks: tuple[str, ...], uid: int
) -> list[psutil.Process]:
    """The live PostgreSQL processes that have one of the directories as their working directory.

    marks: beginnings of an argument or of the title, one of which every such process has. They
    decide for processes of uid where the working directory may not be read: root in a container
    lacks CAP_SYS_PTRACE. Zombies are not live.
    """
    places = set()
    for directory in directories:
        with contextlib.suppress(FileNotFoundError):
            places.add(_identity(directory))
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, FileNotFoundError, ProcessLookupError):
            if process.name() in _NAMES and _is_there(process, places, marks, uid):
                found.append(process)
    return found


def make_leave(processes: list[psutil.Process]) -> None:
    """End these processes: a postmaster politely, what it left behind with less patience.

    Raises StoreUnavailable when some do not end.
    """
    log.warning(
        "ending left-over postgres processes",
        extra={"pids": [process.pid for process in processes]},
    )
    # A postmaster ends its own children; asked singly they would have no clean exit.
    postmasters = [process for process in processes if not _is_child(process)]
    for process in postmasters:
        _send(process, signal.SIGINT)
    _wait_until_gone(postmasters, _FAST_SHUTDOWN_S)
    # Children notice by themselves that their postmaster died.
    _wait_until_gone(processes, _NOTICE_S)
    for number in (signal.SIGQUIT, signal.SIGKILL):
        for process in filter(is_alive, processes):
            _send(process, number)
        _wait_until_gone(processes, _FORCED_S)
    remaining = [process.pid for process in processes if is_alive(process)]
    if remaining:
        raise StoreUnavailable(f"postgres processes {remaining} hold the directory and do not end")


def is_alive(process: psutil.Process) -> bool:
    """Whether this very process still runs: not ended, not a zombie, its pid not reused."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.is_running()
    except psutil.NoSuchProcess:
        return False


def _identity(path: Path | str) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116 - /proc/<pid>/cwd is followed by the kernel, not by name
    return status.st_dev, status.st_ino


def _is_there(
    process: psutil.Process, places: set[tuple[int, int]], marks: tuple[str, ...], uid: int
) -> bool:
    """Whether the process works in one of the places (device, inode).

    By inode, not by name: another container's processes show the same paths for other directories.
    """
    try:
        link = f"/proc/{process.pid}/cwd" if sys.platform == "linux" else process.cwd()
        return _identity(link) in places
    except (PermissionError, psutil.AccessDenied):
        shown = process.cmdline()
        return process.uids().effective == uid and any(part.startswith(marks) for part in shown)


def _is_child(process: psutil.Process) -> bool:
    """Whether a postmaster started it: those show "postgres: <cluster>: <what it does>"."""
    try:
        return "".join(process.cmdline()[:1]).startswith("postgres: ")
    except psutil.NoSuchProcess:
        return True


def _send(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _wait_until_gone(processes: list[psutil.Process], patience_s: float) -> None:
    """Wait for processes that are not our children; nothing tells us, so we look."""
    deadline = time.monotonic() + patience_s
    while any(is_alive(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
