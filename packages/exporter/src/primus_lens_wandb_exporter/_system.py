"""System metrics for PRIMUS_LENS_WANDB_ENHANCE_METRICS, read on the sender's thread.

The training thread only attaches the latest reading to its row. Readers that are not installed are
done without.
"""

import importlib
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Callable

from primus_lens_wandb_exporter import _extras, _guard

EVERY_S = 5.0
_PREFIX = "_primus_sys_"

Reading = Iterator[tuple[str, float]]


class Sampler:
    """Puts fresh readings into what each row is given."""

    def __init__(self, extras: _extras.Extras) -> None:
        self._extras = extras
        self._due = 0.0
        self._readers = list(_readers())

    def sample(self) -> None:
        """Read once every few seconds; otherwise nothing."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + EVERY_S
        for name, read in self._readers:
            with _guard.guard(f"system_{name}"):
                self._extras.put({_PREFIX + key: float(value) for key, value in read()})


def _readers() -> Iterator[tuple[str, Callable[[], Reading]]]:
    for name, make in (("psutil", _psutil), ("pynvml", _pynvml), ("amdsmi", _amdsmi)):
        with _guard.guard(f"system_{name}"):
            try:
                module = importlib.import_module(name)
            except ImportError:
                continue
            yield name, make(module)


def _psutil(psutil: ModuleType) -> Callable[[], Reading]:
    def read() -> Reading:
        yield "cpu_percent", psutil.cpu_percent()
        yield "memory_percent", psutil.virtual_memory().percent

    return read


def _pynvml(nvml: ModuleType) -> Callable[[], Reading]:
    nvml.nvmlInit()
    devices = [nvml.nvmlDeviceGetHandleByIndex(n) for n in range(nvml.nvmlDeviceGetCount())]

    def read() -> Reading:
        for index, device in enumerate(devices):
            memory = nvml.nvmlDeviceGetMemoryInfo(device)
            yield f"gpu_{index}_percent", nvml.nvmlDeviceGetUtilizationRates(device).gpu
            yield f"gpu_{index}_memory_percent", 100.0 * memory.used / memory.total

    return read


def _amdsmi(smi: ModuleType) -> Callable[[], Reading]:
    smi.amdsmi_init()
    devices = smi.amdsmi_get_processor_handles()

    def read() -> Reading:
        for index, device in enumerate(devices):
            memory = smi.amdsmi_get_gpu_vram_usage(device)
            yield f"gpu_{index}_percent", smi.amdsmi_get_gpu_activity(device)["gfx_activity"]
            used = 100.0 * memory["vram_used"] / memory["vram_total"]
            yield f"gpu_{index}_memory_percent", used

    return read
