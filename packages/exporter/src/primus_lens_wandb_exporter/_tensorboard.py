"""Runs with sync_tensorboard=True: wandb's service makes rows that never pass through this process.

It reads the event files itself and numbers its rows among the logged ones as they come, so from
the first event file on all rows of the run, the logged ones too, are taken from where the service
writes them: the run's `.wandb` file.
"""

import functools
import importlib
import os
import sys
from typing import Any

from primus_lens_wandb_exporter import _errors, _guard

_EVENTS = _guard.guard("tensorboard")


def install(process: Any, interface_class: Any) -> None:
    """Tap the announcement of an event file, and the end of a run, after which its file is whole.

    interface_class: the class that defines `_publish_tbdata`.
    """
    _tap_event_files(process, interface_class)
    _tap_finish(process, importlib.import_module("wandb.sdk.wandb_run").Run)


def _tap_event_files(process: Any, interface_class: Any) -> None:
    original = interface_class._publish_tbdata  # noqa: SLF001 - wandb's own name, 0.15 to 0.31

    @functools.wraps(original)
    def _publish_tbdata(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _EVENTS:
            recorder = process.recorder_of(self)
            # The file of a shared run has no steps in it.
            if recorder is not None and recorder.owned and not recorder.shared:
                path = _path_of(recorder.run_id)
                if path:
                    recorder.read_from(path)
                else:
                    _errors.tell("tensorboard", f"no .wandb file of run {recorder.run_id} is found")
        return original(self, *args, **kwargs)

    interface_class._publish_tbdata = _publish_tbdata  # noqa: SLF001 - as above


def _tap_finish(process: Any, run_class: Any) -> None:
    original = run_class._finish  # noqa: SLF001 - what finish(), `with` and wandb.finish() share

    @functools.wraps(original)
    def _finish(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(self, *args, **kwargs)
        finally:
            with _EVENTS:
                recorder = process.recorders.get(str(self._settings.run_id))
                if recorder is not None:
                    recorder.file_is_whole()
                    process.sender.wake()

    run_class._finish = _finish  # noqa: SLF001 - as above


def _path_of(run_id: str) -> str:
    """Return where wandb writes this run, "" when it is not told to, or not to a file."""
    run = getattr(sys.modules.get("wandb"), "run", None)
    settings = getattr(run, "_settings", None)
    if settings is None or str(settings.run_id) != run_id:
        return ""
    path = os.path.abspath(str(settings.sync_file))
    return path if os.path.isfile(path) else ""
