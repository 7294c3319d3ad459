"""Rows as JSON lines beside the job: OUTPUT_PATH/node_N/rank_N/wandb_metrics.jsonl.

Written by the sender's thread from what it reads in the spool; one line is one logged row.
"""

import json
import os

from primus_lens_wandb_exporter import _identity

FILE_NAME = "wandb_metrics.jsonl"


def path_for(output_path: str, identity: _identity.Identity) -> str:
    """Name the file of this process; a rank the launcher did not say counts as 0."""
    node = f"node_{identity.node_rank or 0}"
    return os.path.join(output_path, node, f"rank_{identity.rank or 0}", FILE_NAME)


def line(run_id: str, step: int, at: str, values: list[tuple[str, str]]) -> str:
    """Return one row as a line; numbers keep their digits."""
    data = ",".join(f"{json.dumps(name)}:{text}" for name, text in values)
    head = f'"run_id":{json.dumps(run_id)},"step":{step},"timestamp":{at or "null"}'
    return f'{{{head},"data":{{{data}}}}}\n'


def append(path: str, lines: list[str]) -> None:
    """Append lines in one write. Raises OSError when the folder cannot be written."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        file.write("".join(lines))
