"""The commands `primus-lens pods add | list | remove` and `primus-lens workload delete`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from primus_lens import cli_local
from primus_lens.model import errors
from primus_lens.model.pods import Pod
from primus_lens.store import deletion
from primus_lens.store import pods as stored
from primus_lens.store.database import Database

_SHOWN = 10_000  # pods a list shows at most


def _names_a_pod(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the four names of a pod."""
    for option, help_text in (
        ("--pod-uid", "The pod's uid; none stands for any."),
        ("--namespace", "The pod's namespace; none stands for any."),
        ("--pod", "The pod's name."),
    ):
        command = click.option(option, default="", help=help_text)(command)
    wanted: Callable[..., None] = click.option("--workload", required=True, help="Whose it is.")(
        command
    )
    return wanted


@click.group()
def pods() -> None:
    """Say which pods belong to which workloads."""


@pods.command()
@cli_local.on_a_database
@_names_a_pod
def add(config: Path | None, data_dir: str | None, **names: str) -> None:
    """Let reports of a pod go to a workload; what waited for it follows."""
    with cli_local.refusals_in_words():
        pod = _pod(**names)
        if not (pod.pod_name or pod.pod_uid):
            raise errors.ConfigError("say which pod, with --pod or --pod-uid")
        added = cli_local.done_on(config, data_dir, lambda database: stored.put(database, [pod]))
        click.echo("The pod is known now." if added else "The pod was known before.")


@pods.command("list")
@cli_local.on_a_database
@click.option("--workload", default="", help="Only this workload's.")
@click.option("--pod", default="", help="Only pods of this name.")
def list_pods(config: Path | None, data_dir: str | None, workload: str, pod: str) -> None:
    """Show which pods belong to which workloads."""

    async def read(database: Database) -> tuple[list[dict[str, Any]], int]:
        async with database.connection() as connection:
            return await stored.listed(
                connection, workload_uid=workload, pod_name=pod, limit=_SHOWN, offset=0
            )

    with cli_local.refusals_in_words():
        found, total = cli_local.done_on(config, data_dir, read)
        columns = ("workload_uid", "namespace", "pod_name", "pod_uid")
        rows = [[each[name] or "-" for name in columns] for each in found]
        for line in cli_local.aligned([("WORKLOAD", "NAMESPACE", "POD", "POD UID"), *rows]):
            click.echo(line)
        if total > len(found):
            click.echo(f"and {total - len(found)} more; choose with --workload or --pod", err=True)


@pods.command()
@cli_local.on_a_database
@_names_a_pod
def remove(config: Path | None, data_dir: str | None, **names: str) -> None:
    """Forget pods of a workload; what they reported stays."""

    async def forget(database: Database) -> int:
        async with database.connection() as connection:
            return await stored.remove(connection, _pod(**names))

    with cli_local.refusals_in_words():
        gone = cli_local.done_on(config, data_dir, forget)
        if not gone:
            raise errors.ConfigError("no such pod is known; see `primus-lens pods list`")
        click.echo(f"{gone} forgotten.")


def _pod(*, workload: str, pod: str, namespace: str, pod_uid: str) -> Pod:
    return Pod(workload, namespace, pod, pod_uid)


@click.group()
def workload() -> None:
    """Delete workloads."""


@workload.command()
@cli_local.on_a_database
@click.argument("uid", metavar="UID")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(config: Path | None, data_dir: str | None, uid: str, *, yes: bool) -> None:
    """Delete a workload with everything that is stored of it, for good."""
    if not yes and not click.confirm(f"Delete workload {uid} with all its points, for good?"):
        sys.exit(1)
    with cli_local.refusals_in_words():
        gone = cli_local.done_on(
            config, data_dir, lambda database: deletion.delete_workload(database, uid)
        )
        if not any(gone.values()):
            raise errors.ConfigError(f"there is no workload {uid}; it may have been deleted before")
        told = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in gone.items() if n)
        click.echo(f"Workload {uid} is deleted: {told}.")
