"""Third room: class-level taps on wandb; the user's call passes through untouched.

Every logged row passes `InterfaceShared._publish_partial_history(message)`, unchanged in name and
shape from wandb 0.15 to 0.31: already converted, immutable, with wandb's own timestamp. What is
said about the run passes the methods beside it. Each tap calls wandb's method with the arguments it
got, outside any guard, and returns what that returned.
"""

import functools
import importlib
import re
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Callable

from primus_lens_wandb_exporter import (
    _disabled,
    _errors,
    _frames,
    _guard,
    _process,
    _run_facts,
    _tensorboard,
)

_RECORDS = {
    "_publish_run": _frames.RUN,
    "_publish_config": _frames.CONFIG,
    "_publish_summary": _frames.SUMMARY,
    "_publish_metric": _frames.METRIC,
    "_deliver_exit": _frames.EXIT,
}
_PAYLOADS: dict[int, Callable[[Any], bytes]] = {
    _frames.RUN: _run_facts.of_run,
    _frames.CONFIG: _run_facts.of_config,
    _frames.SUMMARY: _run_facts.of_summary,
}
_FACT = _guard.guard("fact")


def install(wandb: ModuleType) -> None:
    """Tap this wandb: every definition of the methods that any interface class makes its own.

    In wandb's own service process (a separate Python before 0.18) nothing is tapped: the rows that
    pass there were seen where they were logged.
    """
    if _is_wandb_service():
        return
    process = _process.start()
    found = 0
    with _guard.guard("tap"):
        # wandb 0.21 to 0.23 import the class that publishes only in wandb.init: too late for us.
        importlib.import_module("wandb.sdk.interface.interface_shared")
        interface = importlib.import_module("wandb.sdk.interface.interface")
        records = _records(str(getattr(wandb, "__version__", "")))
        for cls in _family(interface.InterfaceBase):
            found += _tap(cls, "_publish_partial_history", _row_tap(process))
            _tap(cls, "_deliver_run_start", _run_start_tap(process))
            for name, kind in records.items():
                _tap(cls, name, _fact_tap(process, kind))
    with _guard.guard("tap_tensorboard"):
        shared = importlib.import_module("wandb.sdk.interface.interface_shared")
        _tensorboard.install(process, shared.InterfaceShared)
    with _guard.guard("tap_disabled"):
        _disabled.install(process)
    if not found:
        _errors.counts["unknown_wandb"] = 1
        with _guard.guard("tap_fallback"):
            _disabled.tap_run_log(process)
    wandb._primus_lens_patched = True  # type: ignore[attr-defined]  # noqa: SLF001 - named by the specification


def _records(version: str) -> dict[str, int]:
    """Return the frame kind of each fact; before 0.18 a Python service numbers the rows.

    wandb.require("core") on 0.17 and require("legacy-service") on 0.18 go unseen: there a metric
    logged before its step metric gains, or lacks, one point of value 0.
    """
    found = re.match(r"0\.(\d+)\.", version)
    if found and int(found[1]) < 18:  # noqa: PLR2004 - the release that changed it
        return {**_RECORDS, "_publish_metric": _frames.METRIC_BEFORE_CORE}
    return _RECORDS


def _is_wandb_service() -> bool:
    words = getattr(sys, "orig_argv", None)
    if words is None:  # Python 3.9: while a package is imported for -m, argv[0] is "-m"
        return sys.argv[:2] == ["-m", "service"]
    return ["-m", "wandb", "service"] in [words[at : at + 3] for at in range(len(words))]


def _family(cls: Any) -> Iterator[Any]:
    yield cls
    for child in cls.__subclasses__():
        yield from _family(child)


def _tap(cls: Any, name: str, wrap: Callable[[Any], Any]) -> int:
    original = vars(cls).get(name)
    if original is None or getattr(original, "__isabstractmethod__", False):
        return 0
    setattr(cls, name, functools.wraps(original)(wrap(original)))
    return 1


def _row_tap(process: Any) -> Callable[[Any], Any]:
    """Record each row, then let wandb publish it, both under the run's lock: one order for both.

    We come first because the thread wakes from publishing with cold caches and the interpreter
    lock contended: the same work took 20 us there instead of 8 (and no row is lost to a death in
    between). When publishing fails, or an exception of a signal handler keeps it from beginning,
    wandb's step numbers are no longer ours to know.

    All in one function: in a job, whose other code fills the caches, a call more is 0.1 to 0.2 us.
    """
    recorders, extras = process.recorders, process.extras
    opened = _guard.guarded("row", process.recorder_of)

    def wrap(original: Any) -> Any:
        def _publish_partial_history(
            self: Any, message: Any = None, *others: Any, **named: Any
        ) -> Any:
            if others or named:  # as no wandb so far calls it
                placed = others if message is None else (message, *others)
                message, publish = _as_given(original, placed, named)
                return wrap(publish)(self, message)
            try:
                recorder = recorders[self._stream_id]
            except (AttributeError, KeyError):
                recorder = opened(self)
            if recorder is None:
                return original(self, message)
            with recorder.lock:
                try:
                    try:
                        if not recorder.value_field:
                            recorder.value_field = _value_field(message)
                        for name, text in extras.items:
                            item = message.item.add()
                            item.key = name
                            setattr(item, recorder.value_field, text)
                        given = message.HasField("step") and not recorder.shared
                        step = message.step.num if given else None
                        flush = message.action.flush if message.HasField("action") else step is None
                        recorder.row(_frames.ROW, step, flush, message.SerializeToString())
                    except Exception as error:  # noqa: BLE001 - no fault of ours reaches the job
                        _guard.swallow("row", error)
                    return original(self, message)
                except BaseException:
                    recorder.owned = False
                    raise

        return _publish_partial_history

    return wrap


def _as_given(original: Any, placed: Any, named: Any) -> tuple[Any, Any]:
    """Return the message and a publish that gives wandb's method just this."""

    def publish(self: Any, _message: Any) -> Any:
        return original(self, *placed, **named)

    return next(iter((*placed, *named.values()))), publish


def _value_field(message: Any) -> str:
    """Name the field in which this row's items hold JSON text.

    In wandb 0.31 a run may give up value_json for typed values, of which "json" is one.
    """
    typed = message.item and not message.item[0].value_json
    return "json" if typed else "value_json"


def _serialized(message: Any) -> bytes:
    return bytes(message.SerializeToString())


def _fact_tap(process: Any, kind: int) -> Callable[[Any], Any]:
    payload_of = _PAYLOADS.get(kind, _serialized)

    def wrap(original: Any) -> Any:
        def tapped(self: Any, *args: Any, **kwargs: Any) -> Any:
            with _FACT:
                message = args[0] if args else next(iter(kwargs.values()))
                recorder = process.recorder_of(self)
                if recorder is not None and kind == _frames.EXIT:
                    process.run_ended(recorder, message.exit_code)
                elif recorder is not None:
                    recorder.fact(kind, payload_of(message))
            return original(self, *args, **kwargs)

        return tapped

    return wrap


def _run_start_tap(process: Any) -> Callable[[Any], Any]:
    def wrap(original: Any) -> Any:
        def _deliver_run_start(self: Any, *args: Any, **kwargs: Any) -> Any:
            with _FACT:
                message = args[0] if args else next(iter(kwargs.values()))
                process.run_started(self, message.run)
            return original(self, *args, **kwargs)

        return _deliver_run_start

    return wrap
