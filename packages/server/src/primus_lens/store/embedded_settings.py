"""The embedded PostgreSQL's settings: fitted to the machine, overridable, written as a file."""

import contextlib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import psutil

from primus_lens.model.errors import ConfigError

_MIB = 1 << 20
_GIB = 1 << 30
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - looked at, not written to
_ENOUGH_SHARED_BYTES = 256 * _MIB  # containers get 64; a parallel query fails when it is full
_MEMORY_LIMITS = (  # of our control group, version 2 and 1
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_NAME = re.compile(r"[a-z_][a-z0-9_.]*", re.IGNORECASE)

STRUCTURAL = frozenset(
    {
        *("cluster_name", "config_file", "data_directory", "hba_file", "ident_file"),
        *("external_pid_file", "listen_addresses", "port", "unix_socket_directories"),
        *("unix_socket_group", "unix_socket_permissions"),
    }
)
"""What the supervisor itself decides; giving one of these is an error."""


def configuration(overrides: Mapping[str, str], *, root: Path) -> str:
    """The text of primus-lens.conf. root: the data directory, for the size of its disk.

    Raises ConfigError for a name or value PostgreSQL's file cannot hold, or a structural one.
    """
    lines = ["# Rewritten at each start; use Primus Lens's own settings, or ALTER SYSTEM."]
    lines += ["include_if_exists = 'postgres/postgresql.conf'"]
    for name, value in (_fitted(root) | dict(overrides)).items():
        if name.lower() in STRUCTURAL:
            raise ConfigError(f"the PostgreSQL setting {name} is Primus Lens's own to make")
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{name!r} is not the name of a PostgreSQL setting")
        if not value.isprintable():
            raise ConfigError(f"the PostgreSQL setting {name} is {value!r}; it must be printable")
        quoted = value.replace("\\", "\\\\").replace("'", "''")
        lines.append(f"{name} = '{quoted}'")
    return "\n".join(lines) + "\n"


def _fitted(root: Path) -> dict[str, str]:
    shared = min(max(memory_bytes() // 4, 16 * _MIB), 2 * _GIB)
    wal = min(max(shutil.disk_usage(root).total // 20, 256 * _MIB), 6 * _GIB)
    fitted = {
        "shared_buffers": f"{shared // _MIB}MB",
        "max_wal_size": f"{wal // _MIB}MB",
        "max_connections": "100",
        "wal_compression": "on",
        "jit": "off",  # compiling costs more than our short statements take
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    if _SHARED_MEMORY.is_dir() and shutil.disk_usage(_SHARED_MEMORY).total < _ENOUGH_SHARED_BYTES:
        fitted["dynamic_shared_memory_type"] = "sysv"
    return fitted


def memory_bytes() -> int:
    """Memory we may use: the machine's, or our control group's limit where that is lower."""
    memory = psutil.virtual_memory().total
    for limit in _MEMORY_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # "max" is no number: no limit
            memory = min(memory, int(limit.read_text()))
    return memory
