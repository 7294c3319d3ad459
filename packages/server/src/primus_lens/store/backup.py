"""Everything into one file and back, by PostgreSQL's own pg_dump and pg_restore out of the wheel.

pg_dump reads one snapshot beside a running server. What was written is read back whole before it
gets its name.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from primus_lens.model import errors
from primus_lens.store import embedded_programs
from primus_lens.store.embedded_programs import Account


def backup(dsn: str, file: Path) -> int:
    """Write a database to a file that is not there yet. Returns its size in bytes.

    Raises ConfigError when it cannot be.
    """
    if file.exists():
        raise errors.ConfigError(f"{file} is there already; name another, or remove it")
    unfinished = file.with_name(f"{file.name}.unfinished")
    plain, password = _without_password(dsn)
    try:
        unfinished.touch(mode=0o600)
        _run("pg_dump", ["--format=custom", f"--file={unfinished}", plain], password)
        _run("pg_restore", ["--file=/dev/null", str(unfinished)], "")
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.rename(file)
    except OSError as error:
        raise errors.ConfigError(f"{error.filename}: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return file.stat().st_size


def restore(dsn: str, file: Path) -> None:
    """Read a file into a database that is empty; all of it or nothing.

    Raises ConfigError when it cannot be.
    """
    if not file.is_file():
        raise errors.ConfigError(f"there is no file {file}")
    plain, password = _without_password(dsn)
    options = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]
    _run("pg_restore", [*options, f"--dbname={plain}", str(file)], password)


def _without_password(dsn: str) -> tuple[str, str]:
    """A DSN that may stand in the process list, and the password that may not."""
    parts = urlsplit(dsn)
    account, at, where = parts.netloc.rpartition("@")
    user, _, password = account.partition(":")
    question = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{user}{at}{where}{parts.path}{question}", unquote(password)


def _run(name: str, words: Sequence[str], password: str) -> None:
    ourselves = Account(os.geteuid(), os.getegid(), switch=False)
    programs = embedded_programs.find_programs(ourselves, Path("/nonexistent"))
    done = subprocess.run(  # noqa: S603 - the wheel's programs, no shell, our own arguments
        [programs.directory / "bin" / name, *words],
        check=False,
        capture_output=True,
        text=True,
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin", "PGPASSWORD": password},
    )
    if done.returncode:
        said = done.stderr.strip()[-800:]
        raise errors.ConfigError(f"{name} ended with status {done.returncode}: {said}")
