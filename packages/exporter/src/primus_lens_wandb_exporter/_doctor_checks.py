"""What `doctor` looks at: the line that arms the hook, the taps, the settings, spool and server."""

import base64
import hashlib
import importlib
import importlib.metadata
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from primus_lens_wandb_exporter import (
    _activate,
    _adopt,
    _errors,
    _identity,
    _sender,
    _settings,
    _spool,
    _transport,
)

HOW_TO_SWITCH_OFF = (
    "for one job: PRIMUS_LENS_WANDB_HOOK=false; for good: pip uninstall primus-lens-wandb-exporter"
)
_DISTRIBUTION, _LINE = "primus-lens-wandb-exporter", "primus_lens_wandb_hook.pth"
_OURS = os.path.dirname(os.path.abspath(__file__))


class Check(NamedTuple):
    """One finding. good: nothing about it keeps reports from arriving."""

    good: bool
    text: str


def every(settings: _settings.Settings, env: Mapping[str, str]) -> Iterator[Check]:
    """Yield what was found, in the order a row travels."""
    yield _hook()
    yield _line()
    yield _taps()
    yield _destination(settings)
    yield _reporter(env)
    yield _waiting(settings)
    yield _server(settings, env)


def _hook() -> Check:
    if not _activate.switched_on():
        return Check(False, "hook: switched off by PRIMUS_LENS_WANDB_HOOK")
    tapped = getattr(sys.modules.get("wandb"), "_primus_lens_patched", False)
    armed = tapped or getattr(sys, "_primus_lens", None) in sys.meta_path
    where = "armed by the .pth line" if armed else "not armed: is the .pth file in site-packages?"
    return Check(armed, f"hook: {where}")


def _line() -> Check:
    """Compare the .pth file with what was installed, by the hash pip wrote down for it."""
    try:
        files = importlib.metadata.files(_DISTRIBUTION) or ()
    except importlib.metadata.PackageNotFoundError:
        return Check(False, f".pth line: {_DISTRIBUTION} is not installed in {sys.prefix}")
    for file in files:
        if file.name != _LINE:
            continue
        path = os.fspath(file.locate())
        try:
            with open(path, "rb") as opened:
                digest = hashlib.sha256(opened.read())
        except OSError as error:
            return Check(False, f".pth line: {error}")
        said = base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")
        as_installed = file.hash is None or file.hash.value == said
        verdict = "as installed" if as_installed else "NOT what was installed"
        return Check(as_installed, f".pth line: {path}, sha256 {digest.hexdigest()}, {verdict}")
    return Check(False, f".pth line: {_DISTRIBUTION} was installed without {_LINE}")


def _taps() -> Check:
    """Import wandb as a job would, and name the methods of it that lead through us."""
    if not _activate.switched_on():
        return Check(True, "taps: none while the hook is switched off")
    try:
        wandb: Any = importlib.import_module("wandb")
    except ImportError as error:
        return Check(False, f"taps: wandb cannot be imported here: {error}")
    named = f"wandb {getattr(wandb, '__version__', 'of an unknown version')}"
    if not getattr(wandb, "_primus_lens_patched", False):
        return Check(False, f"taps: none in {named}, it was imported without the hook")
    if _errors.counts.get("unknown_wandb"):
        return Check(True, f"taps: {named} is not known; its Run._log alone is read")
    return Check(True, f"taps: {named}, {', '.join(_tapped())}")


def _tapped() -> Iterator[str]:
    shared = importlib.import_module("wandb.sdk.interface.interface_shared")
    for cls in shared.InterfaceShared.__mro__:
        for name, value in sorted(vars(cls).items()):
            code = getattr(value, "__code__", None)
            if code is not None and code.co_filename.startswith(_OURS):
                yield f"{cls.__name__}.{name}"
    yield "set_global (disabled runs)"


def _destination(settings: _settings.Settings) -> Check:
    if settings.bad:
        return Check(False, f"settings: cannot be read: {', '.join(settings.bad)}")
    token = "with a token" if settings.token or settings.token_file else "without a token"
    return Check(True, f"settings: reports go to {settings.base_url}, {token}")


def _reporter(env: Mapping[str, str]) -> Check:
    identity = _identity.from_env(env)
    if identity.guessed:
        named = f"the host name {identity.pod_name!r} stands in for POD_NAME"
        return Check(True, f"identity: neither WORKLOAD_UID nor POD_NAME is set; {named}")
    return Check(True, "identity: " + ", ".join(f"{k}={v}" for k, v in identity.address().items()))


def _waiting(settings: _settings.Settings) -> Check:
    probe = os.path.join(settings.spool_dir, f"doctor-{os.getpid()}")
    try:
        _spool.make_private(settings.spool_dir)
        os.mkdir(probe, 0o700)
        os.rmdir(probe)
        found = _adopt.survey(settings.spool_dir)
    except OSError as error:
        text = f"{error}; rows wait in memory only and die with the process"
        return Check(False, f"spool: {text}")
    left = [stream for stream in found.streams if not stream.owned]
    text = f"spool: {settings.spool_dir}, {len(found.streams)} streams"
    if left:
        size = sum(stream.size for stream in left)
        text += f"; {size} bytes in {len(left)} of dead processes wait for the next start or drain"
    if found.quarantined:
        text += f"; {found.quarantined} damaged pieces are set aside in quarantine"
    return Check(True, text)


def _server(settings: _settings.Settings, env: Mapping[str, str]) -> Check:
    if not settings.reporting:
        text = "server: reporting is switched off by PRIMUS_LENS_WANDB_API_REPORTING"
        return Check(True, text)
    transport = _transport.Transport(settings.base_url, settings)
    verdict = _sender.probe(transport, _identity.from_env(env))
    transport.close()
    if verdict.kind == _transport.ACCEPTED:
        return Check(True, f"server: {settings.base_url} accepts reports")
    answer = f"answered {verdict.status}: {verdict.said}" if verdict.status else verdict.said
    return Check(False, f"server: {settings.base_url} {answer}")
