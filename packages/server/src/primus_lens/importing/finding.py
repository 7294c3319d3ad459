"""Which runs there are in the paths a person names. Comes first, before the readers."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from primus_lens.importing import csv_table
from primus_lens.importing.event_file import EventFile
from primus_lens.importing.records import ImportFailed, Source
from primus_lens.importing.wandb_file import WandbFile

Kind = Literal["wandb", "tfevents", "csv"]

PATTERNS: dict[Kind, str] = {"wandb": "*.wandb", "tfevents": "*tfevents*", "csv": "*.csv"}


def found(kind: Kind, paths: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """Every file of a kind: (its root, itself). A file that is named stands for itself.

    A directory is searched with all below it, links to directories aside, in order of names: for
    wandb and TensorBoard the order of time. No file comes twice. Raises ImportFailed for a path
    that is not there, or that holds nothing of the kind.
    """
    seen: set[Path] = set()
    for root in paths:
        if not root.exists():
            raise ImportFailed(f"{root} does not exist")
        inside = sorted(p for p in root.rglob(PATTERNS[kind]) if p.is_file())
        files = inside if root.is_dir() else [root]
        if not files:
            raise ImportFailed(f"there is no {PATTERNS[kind]} in {root}")
        for path in files:
            if path.resolve() not in seen:
                seen.add(path.resolve())
                yield root if root.is_dir() else path.parent, path


def sources(
    kind: Kind,
    root: Path,
    path: Path,
    *,
    run_id: str | None = None,
    step_column: str | None = None,
    time_column: str | None = None,
) -> Sequence[Source]:
    """The runs in one file. run_id: instead of its folder's or file's name. Raises ImportFailed."""
    if kind == "wandb" and run_id:
        raise ImportFailed(f"{path} says itself which run it is; leave out the run id")
    openers: dict[Kind, Callable[[], Sequence[Source]]] = {
        "wandb": lambda: [WandbFile(path)],
        "tfevents": lambda: [EventFile(path, run_id or _folder_name(root, path))],
        "csv": lambda: csv_table.tables(
            path,
            run_id=run_id or path.relative_to(root).with_suffix("").as_posix(),
            step=step_column,
            time=time_column,
        ),
    }
    return openers[kind]()


def _folder_name(root: Path, path: Path) -> str:
    """TensorBoard's name of a run: its folder below the root, or the root's own."""
    below = path.parent.relative_to(root).as_posix()
    return root.resolve().name if below == "." else below
