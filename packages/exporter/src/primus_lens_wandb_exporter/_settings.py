"""The PRIMUS_LENS_* variables, read once; rooms are handed settings, none reads the environment.

A value that cannot be read leaves the default in force and is noted, never raised.
"""

import os
import re
import tempfile
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Callable, Optional, TypeVar

from primus_lens_wandb_exporter import _redaction

DEFAULT_BASE_URL = "http://primus-lens-telemetry-processor:8080/api/v1"

_WHOLE = re.compile(r"-?[0-9]{1,18}").fullmatch  # what fits the protocol's integers
_T = TypeVar("_T")


@dataclass(frozen=True)
class Settings:
    """Everything that can be set from outside, with its default.

    base_url: PRIMUS_LENS_API_BASE_URL, where reports are posted; without the user and password it
        may name, which are never sent and must not be written down either.
    reporting: PRIMUS_LENS_WANDB_API_REPORTING, whether they are posted at all.
    token, token_file: PRIMUS_LENS_API_TOKEN or _FILE, sent as a bearer token; the file is read anew
        for each connection, since Kubernetes renews projected tokens in place.
    use_proxy: PRIMUS_LENS_USE_PROXY, follow http_proxy and https_proxy (default no).
    save_local, output_path: PRIMUS_LENS_WANDB_SAVE_LOCAL and _OUTPUT_PATH, rows as JSON lines in
        `node_N/rank_N/wandb_metrics.jsonl` under that path (none by default).
    enhance: PRIMUS_LENS_WANDB_ENHANCE_METRICS, add system metrics to each row (default no).
    mark_rows: PRIMUS_LENS_WANDB_MARK_ROWS, add `_primus_lens_enabled` to each row (default yes).
    batch_points: PRIMUS_LENS_WANDB_BATCH_SIZE, points that leave without waiting for flush_s.
    flush_s: PRIMUS_LENS_WANDB_FLUSH_INTERVAL, seconds until fewer points leave too.
    spool_dir: a private folder of this user in PRIMUS_LENS_WANDB_SPOOL_DIR (default: the temporary
        directory), where rows wait.
    spool_bytes: PRIMUS_LENS_WANDB_SPOOL_BYTES, the most one process keeps there.
    debug: PRIMUS_LENS_WANDB_DEBUG, tell errors on stderr.
    bad: the variables whose value could not be read.
    """

    base_url: str = DEFAULT_BASE_URL
    base_url_given: bool = False
    reporting: bool = True
    token: str = field(default="", repr=False)
    token_file: str = ""
    use_proxy: bool = False
    save_local: bool = True
    output_path: str = ""
    enhance: bool = False
    mark_rows: bool = True
    batch_points: int = 100
    flush_s: float = 1.0
    spool_dir: str = ""
    spool_bytes: int = 64 << 20
    debug: bool = False
    bad: tuple[str, ...] = ()


def read(env: Mapping[str, str]) -> Settings:
    """Read the settings from a copy of the environment."""
    bad: list[str] = []

    def value(name: str, parse: Callable[[str], _T], default: _T) -> _T:
        text = env.get(name, "").strip()
        if not text:
            return default
        try:
            return parse(text)
        except (ValueError, OverflowError):
            bad.append(f"{name}={_redaction.text(text)!r}")
            return default

    return Settings(
        base_url=value("PRIMUS_LENS_API_BASE_URL", _url, DEFAULT_BASE_URL),
        base_url_given=bool(env.get("PRIMUS_LENS_API_BASE_URL", "").strip()),
        reporting=value("PRIMUS_LENS_WANDB_API_REPORTING", _truth, True),
        token=env.get("PRIMUS_LENS_API_TOKEN", "").strip(),
        token_file=_fixed(env.get("PRIMUS_LENS_API_TOKEN_FILE", "").strip()),
        use_proxy=value("PRIMUS_LENS_USE_PROXY", _truth, False),
        save_local=value("PRIMUS_LENS_WANDB_SAVE_LOCAL", _truth, True),
        output_path=_fixed(env.get("PRIMUS_LENS_WANDB_OUTPUT_PATH", "").strip()),
        enhance=value("PRIMUS_LENS_WANDB_ENHANCE_METRICS", _truth, False),
        mark_rows=value("PRIMUS_LENS_WANDB_MARK_ROWS", _truth, True),
        batch_points=value("PRIMUS_LENS_WANDB_BATCH_SIZE", _at_least_one, 100),
        flush_s=value("PRIMUS_LENS_WANDB_FLUSH_INTERVAL", _seconds, 1.0),
        spool_dir=spool_dir(env.get("PRIMUS_LENS_WANDB_SPOOL_DIR", "").strip()),
        spool_bytes=value("PRIMUS_LENS_WANDB_SPOOL_BYTES", _at_least_one, 64 << 20),
        debug=value("PRIMUS_LENS_WANDB_DEBUG", _truth, False),
        bad=tuple(bad),
    )


def spool_dir(parent: str) -> str:
    """Name this user's spool folder; nothing is made here.

    Never the given folder itself: that may be shared, and ours has to be private.
    """
    return os.path.join(_fixed(parent) or _temporary(), f"primus-lens-{os.getuid()}")


def _fixed(path: str) -> str:
    """Return a path that still means the same when the job changes its working directory."""
    try:
        return path and os.path.abspath(path)
    except OSError:
        return path  # the working directory is gone already


def _temporary() -> str:
    """Return the temporary directory; on a machine where none can be written, the usual one.

    Rows wait in memory then: a container whose root is read-only still reports.
    """
    try:
        return tempfile.gettempdir()
    except OSError:
        return "/tmp"  # noqa: S108 - nothing is made there that others may enter


def integer(env: Mapping[str, str], *names: str) -> Optional[int]:
    """Return the first of these variables that is a whole number, None if none is."""
    for name in names:
        text = env.get(name, "").strip()
        if _WHOLE(text):
            return int(text)
    return None


def _truth(text: str) -> bool:
    word = text.lower()
    if word in ("true", "1", "yes", "on"):
        return True
    if word in ("false", "0", "no", "off"):
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(f"{number} is less than 1")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0.05 <= number <= 3600:  # noqa: PLR2004 - faster than 20 a second would cost the job
        raise ValueError(f"{number} s is not within 0.05 and 3600")
    return number


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError(f"{text!r} does not start with http:// or https://")
    parts = urllib.parse.urlsplit(text)
    if not parts.hostname or parts.port == 0:  # an unreadable port raises by itself
        raise ValueError(f"{text!r} names no server")
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host).geturl().rstrip("/")
