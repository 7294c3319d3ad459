"""`python -m primus_lens_wandb_exporter doctor | drain | status`, for people and init jobs."""

import argparse
import os
import sys
import time
from collections.abc import Mapping
from typing import Optional

from primus_lens_wandb_exporter import (
    __version__,
    _activate,
    _adopt,
    _identity,
    _sender,
    _settings,
    _spool,
    _transport,
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
        names = sorted(os.listdir(settings.spool_dir))
    except OSError as error:
        _say(f"  nothing there ({error.strerror})")
        return 0
    for name in names:
        folder = os.path.join(settings.spool_dir, name)
        if name == _adopt.QUARANTINE:
            _say(f"  quarantine: {len(os.listdir(folder))} files")
        elif os.path.isdir(folder):
            sizes = [
                os.path.getsize(os.path.join(folder, file)) for file in _spool.left_segments(folder)
            ]
            owner = "its process lives" if _is_owned(folder) else "its process is gone"
            _say(f"  {name}: {sum(sizes)} bytes in {len(sizes)} segments, {owner}")
    return 0


def _is_owned(folder: str) -> bool:
    try:
        os.close(_spool.lock(folder))
    except OSError:
        return True
    return False


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
    checks = [
        _check_hook(),
        _check_settings(settings),
        _check_identity(env),
        _check_spool(settings),
        _check_server(settings, env),
    ]
    for good, text in checks:
        _say(f"{'ok  ' if good else 'BAD '} {text}")
    return 0 if all(good for good, _ in checks) else 1


def _check_hook() -> tuple[bool, str]:
    if not _activate.switched_on():
        return False, "hook: switched off by PRIMUS_LENS_WANDB_HOOK"
    tapped = getattr(sys.modules.get("wandb"), "_primus_lens_patched", False)
    armed = tapped or getattr(sys, "_primus_lens", None) in sys.meta_path
    where = "armed by the .pth line" if armed else "not armed: is the .pth file in site-packages?"
    return armed, f"hook: {where}"


def _check_settings(settings: _settings.Settings) -> tuple[bool, str]:
    if settings.bad:
        return False, f"settings: cannot be read: {', '.join(settings.bad)}"
    return True, f"settings: reports go to {settings.base_url}"


def _check_identity(env: Mapping[str, str]) -> tuple[bool, str]:
    identity = _identity.from_env(env)
    if identity.guessed:
        named = f"the host name {identity.pod_name!r} stands in for POD_NAME"
        return True, f"identity: neither WORKLOAD_UID nor POD_NAME is set; {named}"
    return True, "identity: " + ", ".join(f"{k}={v}" for k, v in identity.address().items())


def _check_spool(settings: _settings.Settings) -> tuple[bool, str]:
    probe = os.path.join(settings.spool_dir, f"doctor-{os.getpid()}")
    try:
        _spool.make_private(settings.spool_dir)
        os.mkdir(probe, 0o700)
        os.rmdir(probe)
    except OSError as error:
        text = f"{error}; rows wait in memory only and die with the process"
        return False, f"spool: {text}"
    return True, f"spool: {settings.spool_dir}"


def _check_server(settings: _settings.Settings, env: Mapping[str, str]) -> tuple[bool, str]:
    if not settings.reporting:
        return True, "server: reporting is switched off by PRIMUS_LENS_WANDB_API_REPORTING"
    transport = _transport.Transport(settings.base_url, settings)
    verdict = _sender.probe(transport, _identity.from_env(env))
    transport.close()
    if verdict.kind == _transport.ACCEPTED:
        return True, f"server: {settings.base_url} accepts reports"
    answer = f"answered {verdict.status}: {verdict.said}" if verdict.status else verdict.said
    return False, f"server: {settings.base_url} {answer}"


if __name__ == "__main__":
    sys.exit(main())
