"""What the commands that ask a running server share: --url, --token, errors in words."""

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import click

from primus_lens.client import DEFAULT_URL, Client, LensApiError

FAILED = 1
"""Exit status when the server refused or could not be reached; 2 is a wrong command line."""

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""

Command = Callable[..., None]


def asks_a_server(command: Command) -> Command:
    """Give a command --url and --token; it gets a Client as its first argument."""

    @click.option(
        "--url",
        default=DEFAULT_URL,
        envvar="PRIMUS_LENS_URL",
        show_default=True,
        show_envvar=True,
        help="The server.",
    )
    @click.option(
        "--token",
        envvar="PRIMUS_LENS_API_TOKEN",
        show_envvar=True,
        help="Where the server asks for one; the variable keeps it out of the process list.",
    )
    @functools.wraps(command)
    def asking(*args: Any, url: str, token: str | None, **options: Any) -> None:  # noqa: ANN401
        with failures_in_words(), Client(url, token or None) as client:
            command(client, *args, **options)

    return asking


@contextlib.contextmanager
def failures_in_words() -> Iterator[None]:
    """What went wrong is one sentence on stderr and an exit status, not a traceback."""
    try:
        yield
    except (LensApiError, ImportError) as error:
        fail(str(error))
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nor may the last flush
        sys.exit(FAILED)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        fail(f"{where}{error.strerror or error}")


def fail(sentence: str) -> NoReturn:
    """End the command with a sentence."""
    click.echo(f"primus-lens: {sentence}", err=True)
    sys.exit(FAILED)
