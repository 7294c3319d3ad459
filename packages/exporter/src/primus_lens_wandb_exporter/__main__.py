"""`python -m primus_lens_wandb_exporter doctor | drain | status`, for people and init jobs."""

import argparse
import os
import sys
import time
from collections.abc import Mapping
from typing import Optional

from primus_lens_wandb_exporter import (
    __version__,
    _adopt,
    _doctor_checks,
    _sender,
    _settings,
)


def main(arguments: Optional[list[str]] = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m primus_lens_wandb_exporter")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="say whether reports would arrive, and why not")
    drain = commands.add_parser("drain", help="deliver what dead processes left behind")
    drain.add_argument("--timeout", type=float, default=60.0, help="seconds to try (default 60)")
    commands.add_parser("status", help="say what waits in the spool")
    chosen = parser.parse_args(arguments)
    env = dict(os.environ)
    settings = _settings.read(env)
    if chosen.command == "drain":
        return _drain(settings, env, chosen.timeout)
    return _status(settings) if chosen.command == "status" else _doctor(settings, env)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _status(settings: _settings.Settings) -> int:
    """Print each stream, how much waits in it and whether its process lives."""
    _say(f"spool: {settings.spool_dir}")
    try:
        found = _adopt.survey(settings.spool_dir)
    except OSError as error:
        _say(f"  nothing there ({error.strerror})")
        return 0
    for stream in found.streams:
        owner = "its process lives" if stream.owned else "its process is gone"
        _say(f"  {stream.name}: {stream.size} bytes in {stream.segments} segments, {owner}")
    if found.quarantined:
        _say(f"  quarantine: {found.quarantined} files")
    return 0


def _drain(settings: _settings.Settings, env: Mapping[str, str], timeout_s: float) -> int:
    """Deliver every orphaned stream, each to the server its process knew unless one is given."""
    until = time.monotonic() + timeout_s
    left = 0
    for orphan in _adopt.orphans(settings.spool_dir, lambda _stream: False):
        head = orphan.head()
        if head is None:
            _say(f"{os.path.basename(orphan.folder)}: no segment of it can be read")
            orphan.close()
            left += 1
            continue
        base_url = settings.base_url if settings.base_url_given else head["base_url"]
        sender = _sender.Sender(settings, env, None, base_url)
        done = sender.drain(orphan, head, until)
        _say(f"{head['stream']}: run {head['run_id']} {'delivered' if done else 'kept'}")
        left += not done
    _say("nothing is left behind" if not left else f"{left} streams are left behind")
    return 1 if left else 0


def _doctor(settings: _settings.Settings, env: Mapping[str, str]) -> int:
    """Check everything a report needs; returns 1 when one of it is missing."""
    good = True
    for check in _doctor_checks.every(settings, env):
        _say(f"{'ok  ' if check.good else 'BAD '} {check.text}")
        good = good and check.good
    _say(f"off  {_doctor_checks.HOW_TO_SWITCH_OFF}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
