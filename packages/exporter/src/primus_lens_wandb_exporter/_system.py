"""System metrics for PRIMUS_LENS_WANDB_ENHANCE_METRICS, read on the sender's thread.

The training thread only attaches the latest reading to its row. Readers that are not installed are
done without.
"""

import importlib
import time
from types import ModuleType
from typing import Optional

from primus_lens_wandb_exporter import _extras, _guard

EVERY_S = 5.0
_PREFIX = "_primus_sys_"


class Sampler:
    """Puts fresh readings into what each row is given."""

    def __init__(self, extras: _extras.Extras) -> None:
        self._extras = extras
        self._due = 0.0
        self._psutil = _optional("psutil")
        self._pynvml = _optional("pynvml")

    def sample(self) -> None:
        """Read once every few seconds; otherwise nothing."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + EVERY_S
        if self._psutil is not None:
            with _guard.guard("psutil"):
                self._put("cpu_percent", self._psutil.cpu_percent())
                self._put("memory_percent", self._psutil.virtual_memory().percent)
        if self._pynvml is not None:
            with _guard.guard("pynvml"):
                self._read_nvidia(self._pynvml)

    def _read_nvidia(self, nvml: ModuleType) -> None:
        nvml.nvmlInit()
        for index in range(nvml.nvmlDeviceGetCount()):
            device = nvml.nvmlDeviceGetHandleByIndex(index)
            memory = nvml.nvmlDeviceGetMemoryInfo(device)
            self._put(f"gpu_{index}_percent", nvml.nvmlDeviceGetUtilizationRates(device).gpu)
            self._put(f"gpu_{index}_memory_percent", 100.0 * memory.used / memory.total)

    def _put(self, name: str, value: float) -> None:
        self._extras.put({_PREFIX + name: float(value)})


def _optional(name: str) -> Optional[ModuleType]:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
