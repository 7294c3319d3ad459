"""What the commands on the configured database share: --config, --data-dir, errors in words.

They work beside a running server or without one; who reaches the database may do anything.
"""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from primus_lens import assembly, logs, settings
from primus_lens.model import errors
from primus_lens.settings import DatabaseSettings
from primus_lens.store.database import Database

T = TypeVar("T")


@contextlib.contextmanager
def refusals_in_words() -> Iterator[None]:
    """What a person can mend ends the command with a sentence and status 2, not a traceback."""
    try:
        yield
    except errors.LensError as error:
        click.echo(f"primus-lens: {error.message}", err=True)
        sys.exit(2)


def on_a_database(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command --config and --data-dir; it gets both as its first arguments."""
    command = click.option("--data-dir", help="Where the embedded PostgreSQL keeps its data.")(
        command
    )
    config = click.option(
        "--config", type=click.Path(path_type=Path), help="The configuration file (YAML)."
    )
    decorated: Callable[..., None] = config(command)
    return decorated


def database_settings(config: Path | None, data_dir: str | None) -> DatabaseSettings:
    """Which database is meant."""
    chosen = settings.load(config).database
    return msgspec.structs.replace(chosen, data_directory=data_dir) if data_dir else chosen


def done_on(
    config: Path | None,
    data_dir: str | None,
    work: Callable[[Database], Awaitable[T]],
    *,
    migrate: bool = True,
) -> T:
    """What some work on the configured database returns. migrate: bring its tables up before."""
    chosen = database_settings(config, data_dir)

    async def done() -> T:
        async with assembly.database_for_command(chosen, migrate=migrate) as database:
            return await work(database)

    logs.configure("warn")
    return asyncio.run(done())


def aligned(rows: Sequence[Sequence[Any]]) -> list[str]:
    """Lines of aligned columns; the first row are their names."""
    words = [[str(word) for word in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*words, strict=True)]
    return [
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
        for row in words
    ]
