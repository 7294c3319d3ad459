"""The directory an embedded PostgreSQL lives in: whose it is, what is in it, who may enter.

<data>/primus-lens.lock      held by the server that owns the directory; marks it as ours
<data>/primus-lens.conf      rewritten at each start; reads postgres/postgresql.conf, then ours
<data>/postgres/             PostgreSQL's own data directory, with the socket in it
<data>/postgres.log[.1]      what PostgreSQL says, bounded
<data>/initialising-*/       a first start under way, or one that was killed
<data>/programs-*/           copied programs, only where the account cannot reach the installed ones
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import stat
import tempfile
from pathlib import Path
from urllib.parse import quote

from primus_lens.model.errors import ConfigError, StoreUnavailable
from primus_lens.store import embedded_processes
from primus_lens.store.embedded_programs import MAJOR, Account, Programs, account_for, may_enter

USER = DATABASE = "primus_lens"
PORT = 5432  # only a part of the socket's file name here

_LOCK = "primus-lens.lock"
_SOCKET = f".s.PGSQL.{PORT}"
_FRESH_PREFIX = "initialising-"
_NOT_CONTENT = {"lost+found"}  # an empty volume's own

_SOCKET_PATH_BYTES = 100  # sockaddr_un holds 108, and PostgreSQL adds ".lock" for a file beside it
_PLAIN_PATH = re.compile(r"/[\w./+-]*", re.ASCII)  # commas, quotes and @ mean something in a DSN
_LOG_BYTES = 16 << 20  # two files of this size are kept


class DirectoryInUse(ConfigError):
    """Another server owns the directory."""


class ClusterDirectory:
    """Paths and state of one data directory; made by `claim`, given back by `release`.

    Its methods block on files and processes: they belong in a worker thread.
    """

    def __init__(self, root: Path, account: Account, lock: int) -> None:
        self.root = root
        self.account = account
        self.cluster = root / "postgres"
        self.log = root / "postgres.log"
        self.configuration = root / "primus-lens.conf"
        self.name = f"primus-lens-{_digest(root)}"
        self.socket_directory = self.cluster
        self._lock = lock

    def release(self) -> None:
        """Let another server have the directory."""
        if self.socket_directory != self.cluster:
            with contextlib.suppress(OSError):
                self.socket_directory.rmdir()
        os.ftruncate(self._lock, 0)
        os.close(self._lock)

    def clear(self) -> None:
        """End every PostgreSQL process of this directory and remove the files that name them.

        Only then are postmaster.pid and the socket's lock known to be stale, whatever process has
        the number in them by now. Raises StoreUnavailable when a process does not end.
        """
        places = (self.root, self.cluster, *self.root.glob(f"{_FRESH_PREFIX}*"))
        marks = (f"{self.root}/", f"postgres: {self.name}")
        while found := embedded_processes.working_in(places, marks=marks, uid=self.account.uid):
            embedded_processes.make_leave(found)
        for stale in (
            self.cluster / "postmaster.pid",
            self.socket_directory / _SOCKET,
            self.socket_directory / f"{_SOCKET}.lock",
        ):
            stale.unlink(missing_ok=True)

    def initialise(self, programs: Programs) -> None:
        """Make the cluster unless it is there. A first start that was killed leaves no half of one.

        It is made beside its place and renamed. Raises StoreUnavailable with initdb's words.
        """
        if unfinished := list(self.root.glob(f"{_FRESH_PREFIX}*")):
            self.clear()  # an initdb may still be at it
        for left in unfinished:
            shutil.rmtree(left)
        if self.cluster.exists():
            return
        if not self.account.known:
            raise ConfigError(
                f"initdb needs an entry in /etc/passwd for user id {self.account.uid}; "
                "add one, or run as a user that has one for the first start"
            )
        fresh = Path(tempfile.mkdtemp(prefix=_FRESH_PREFIX, dir=self.root))
        self.account.own(fresh)
        arguments: list[str | Path] = [
            *("-D", fresh, "-U", USER, "--auth=trust", "--encoding=UTF8", "--no-instructions"),
            *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        ]
        try:
            programs.run("initdb", arguments, cwd=self.root)
        except StoreUnavailable:
            shutil.rmtree(fresh)
            raise
        fresh.rename(self.cluster)
        _sync(self.root)

    def protect(self) -> None:
        """Close the cluster to others and settle where the socket is.

        Kubernetes opens a volume's files to the pod's group at each mount; PostgreSQL refuses that.
        Raises ConfigError when the cluster belongs to somebody else.
        """
        owner = self.cluster.lstat().st_uid
        if owner != self.account.uid:
            raise ConfigError(_belongs_to(self.cluster, owner, self.account))
        self.cluster.chmod(0o700)
        self.socket_directory = _socket_directory(self.cluster, self.account)

    def write_configuration(self, text: str) -> None:
        """Replace our configuration file, whole or not at all."""
        _replace(self.configuration, text.encode(), self.account)

    def open_log(self) -> int:
        """The log, open for appending; the caller closes the descriptor."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self.log, flags, 0o600)
        self.account.own(descriptor)
        return descriptor

    def log_size(self) -> int:
        """Bytes in the log now."""
        return self.log.stat().st_size if self.log.exists() else 0

    def log_since(self, offset: int) -> list[str]:
        """The log's lines from a byte on, the last 64 KiB at most."""
        with self.log.open("rb") as file:
            file.seek(max(offset, self.log_size() - (64 << 10)))
            return file.read().decode(errors="replace").splitlines()

    def rotate_log(self) -> None:
        """Keep the log bounded: a full one becomes postgres.log.1 and is emptied in place.

        In place, because every process of the server holds it open (for appending).
        """
        if self.log_size() < _LOG_BYTES:
            return
        with self.log.open("rb") as file:
            file.seek(-_LOG_BYTES, os.SEEK_END)
            _replace(self.log.with_suffix(".log.1"), file.read(_LOG_BYTES), self.account)
        os.truncate(self.log, 0)


def inspect(root: Path) -> None:
    """Refuse a directory that is not ours or that another version made. Changes nothing.

    Raises ConfigError.
    """
    try:
        content = {entry.name for entry in root.iterdir()} - _NOT_CONTENT
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"the data directory {root} cannot be read: {error.strerror}") from error
    if content and _LOCK not in content:
        held = "a PostgreSQL cluster of somebody else" if "PG_VERSION" in content else "other files"
        raise ConfigError(
            f"the data directory {root} holds {held} and was not made by Primus Lens; "
            "name an empty or a new directory"
        )
    cluster = root / "postgres"
    if cluster.is_symlink():
        raise ConfigError(f"{cluster} is a symbolic link; point the data directory itself there")
    with contextlib.suppress(FileNotFoundError):
        version = (cluster / "PG_VERSION").read_text().strip()
        if version != str(MAJOR):
            raise ConfigError(
                f"the data directory {root} was made by PostgreSQL {version}; this Primus Lens "
                f"runs PostgreSQL {MAJOR}; dump it with pg_dump under version {version} and "
                "restore the dump into a new directory (nothing was changed)"
            )


def claim(root: Path) -> ClusterDirectory:
    """Make the directory where it is missing, close it to others and become its one owner.

    Raises ConfigError when it is not ours, cannot be made or entered, or is in use.
    """
    inspect(root)
    account = account_for(root / "postgres", root)
    try:
        above = next(parent for parent in root.parents if parent.exists())
        if not may_enter(above, account):
            raise ConfigError(_unreachable(root, above, account))
        _make(root)
        _close_to_others(root, account)
        return ClusterDirectory(root, account, _lock(root, account))
    except OSError as error:
        raise ConfigError(
            f"the data directory {root} cannot be used: {error.strerror} ({error.filename})"
        ) from error


def _make(root: Path) -> None:
    """Make it and its missing parents; those stay enterable, whatever the umask."""
    if root.exists():
        return
    for parent in (*reversed(root.parents), root):
        if not parent.exists():
            parent.mkdir()
            parent.chmod(0o755)


def _close_to_others(root: Path, account: Account) -> None:
    found = root.stat()
    if found.st_uid in (account.uid, os.geteuid()):
        root.chmod(0o700)
        account.own(root)
    elif account.switch or not os.access(root, os.W_OK | os.X_OK):
        raise ConfigError(_belongs_to(root, found.st_uid, account))


def _belongs_to(directory: Path, owner: int, account: Account) -> str:
    return (
        f"the data directory {directory} belongs to user id {owner}, but PostgreSQL would run as "
        f"{account}; run Primus Lens as its owner, or give it away with "
        f"chown -R {account.uid}:{account.gid} {directory}"
    )


def _unreachable(root: Path, above: Path, account: Account) -> str:
    """The refusal. above: the nearest directory over root that exists."""
    doors = (*reversed(above.parents), above)
    closed = next(door for door in doors if not may_enter(door, account))
    return (
        f"PostgreSQL does not run as root; it would run as the account {account}, which cannot "
        f"enter {closed} and so not reach the data directory {root}. Name a data directory "
        f"elsewhere, for example below /var/lib, or let the account pass with chmod o+x {closed}"
    )


def _lock(root: Path, account: Account) -> int:
    """Hold the directory's lock, with our pid in it for those who come second."""
    path = root / _LOCK
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(descriptor, 20).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise DirectoryInUse(
            f"the data directory {root} is in use by process {holder}; stop that server first, "
            "or give this one a directory of its own"
        ) from error
    account.own(descriptor)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def dsn(socket_directory: Path) -> str:
    """Where clients of the PostgreSQL with this socket connect."""
    host = quote(str(socket_directory), safe="/")
    return f"postgresql:///{DATABASE}?host={host}&port={PORT}&user={USER}"


def socket_of_running(root: Path) -> Path | None:
    """Where the socket of the PostgreSQL is that runs in a directory; None while none does."""
    with contextlib.suppress(FileNotFoundError, IndexError):
        # Its line 5, once it is written: the server knows best whether it had to be elsewhere.
        return Path((root / "postgres" / "postmaster.pid").read_text().splitlines()[4])
    return None


def _socket_directory(cluster: Path, account: Account) -> Path:
    """The cluster itself, or where its path is too long or not plain, a private one of its own.

    Raises ConfigError when somebody else has made that one.
    """
    socket_bytes = len(os.fsencode(cluster / f"{_SOCKET}.lock"))
    if socket_bytes < _SOCKET_PATH_BYTES and _PLAIN_PATH.fullmatch(str(cluster)):
        return cluster
    private = _runtime_directory(account) / f"primus-lens-{_digest(cluster)}"
    with contextlib.suppress(FileExistsError):
        private.mkdir(mode=0o700)
        account.own(private)
    found = private.lstat()
    if (
        not stat.S_ISDIR(found.st_mode)
        or found.st_uid != account.uid
        or stat.S_IMODE(found.st_mode) & 0o077
    ):
        raise ConfigError(
            f"{private}, where PostgreSQL's socket belongs, is not a private directory of "
            f"{account}; remove it, or use a data directory with a shorter path"
        )
    return private


def _runtime_directory(account: Account) -> Path:
    """XDG_RUNTIME_DIR when it is ours, plain and short, else /tmp."""
    named = os.environ.get("XDG_RUNTIME_DIR", "")
    if not account.switch and _PLAIN_PATH.fullmatch(named) and len(named) < _SOCKET_PATH_BYTES // 2:
        with contextlib.suppress(OSError):
            found = Path(named).stat()
            if found.st_uid == account.uid and not stat.S_IMODE(found.st_mode) & 0o077:
                return Path(named)
    return Path("/tmp")  # noqa: S108 - what is made there is checked for owner, mode and kind


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]


def _replace(path: Path, content: bytes, account: Account) -> None:
    """Write a file beside its place and rename it: no half file, and no symlink is followed."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        account.own(descriptor)
    fresh.replace(path)


def _sync(directory: Path) -> None:
    """Make a rename in the directory survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
