"""Rows that never reach wandb's interface: disabled runs, and wandb versions we do not know.

A disabled run (WANDB_MODE=disabled) throws its rows away before they are converted. They are
reported all the same, numbered by the same rules, from the values as the job passed them.
"""

import functools
import importlib
import json
import time
from typing import Any, Optional

from primus_lens_wandb_exporter import _frames, _guard, _points, _run_facts

_ROW = _guard.guard("disabled_row")


def install(process: Any) -> None:
    """Tap `set_global`, which every wandb from 0.15 on calls with the run it has just made."""
    module: Any = importlib.import_module("wandb.sdk.lib.module")
    original = module.set_global

    @functools.wraps(original)
    def set_global(*args: Any, **kwargs: Any) -> Any:
        with _guard.guard("disabled_run"):
            run = kwargs.get("run")
            if run is not None and _is_disabled(run):
                _tap_run(process, run)
                if "log" in kwargs:
                    kwargs["log"] = run.log
        return original(*args, **kwargs)

    module.set_global = set_global


def _is_disabled(run: Any) -> bool:
    """RunDisabled (0.15, 0.16), a Run with its own `log` (0.17 to 0.25) or NoopRun (0.28 on)."""
    kind = type(run).__name__
    return kind in ("RunDisabled", "NoopRun") or "log" in getattr(run, "__dict__", {})


def _tap_run(process: Any, run: Any) -> None:
    run_id = str(getattr(run, "id", "") or getattr(getattr(run, "_settings", None), "run_id", ""))
    recorder = process.open(run_id, owned=True)
    if recorder is None:
        return
    config = {}
    with _guard.guard("disabled_config"):
        config = json.loads(json.dumps(dict(run.config), default=str))
    recorder.fact(_frames.RUN, _run_facts.of_disabled_run(config, time.time()))
    _wrap(run, "log", recorder)
    original_finish = run.finish

    def finish(*args: Any, **kwargs: Any) -> Any:
        with _ROW:
            process.run_ended(recorder, kwargs.get("exit_code") or (args[0] if args else 0) or 0)
        return original_finish(*args, **kwargs)

    object.__setattr__(run, "finish", finish)


def tap_run_log(process: Any) -> None:
    """Tap `Run._log` of a wandb whose interface is unknown: values as the job passed them."""
    run_class = importlib.import_module("wandb.sdk.wandb_run").Run
    original = run_class._log  # noqa: SLF001 - the last name every wandb has had

    @functools.wraps(original)
    def _log(self: Any, data: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, data, *args, **kwargs)
        with _ROW:
            run_id = str(self._settings.run_id)
            recorder = process.recorders.get(run_id) or process.open(run_id, owned=True)
            if recorder is not None:
                _record(recorder, data, *args, **kwargs)
        return result

    run_class._log = _log  # noqa: SLF001 - as above


def _wrap(run: Any, name: str, recorder: Any) -> None:
    original = getattr(run, name)

    def log(data: Any = None, *args: Any, **kwargs: Any) -> Any:
        result = original(data, *args, **kwargs)
        with _ROW:
            _record(recorder, data, *args, **kwargs)
        return result

    object.__setattr__(run, name, log)


def _record(
    recorder: Any,
    data: Any,
    step: Optional[int] = None,
    commit: Optional[bool] = None,  # noqa: FBT001 - the place wandb.log has for it
    **_: Any,
) -> None:
    values: dict[str, Any] = {}
    for name, value in dict(data).items():
        number = _points.plain_value(value)
        if number is not None and isinstance(name, str):
            values[name] = number
    payload = json.dumps({"at": time.time(), "values": values}).encode()
    flush = commit if commit is not None else step is None
    with recorder.lock:
        recorder.row(_frames.PLAIN_ROW, None if step is None else int(step), bool(flush), payload)
