"""Named SQL statements, read from the .sql files of this folder.

A file holds statements one after another, each under `-- name: the_name` and a sentence on what it
is for. Python holds no SQL.
"""

import re
from collections.abc import Mapping
from importlib import resources

SQL_FILES = resources.files("primus_lens.store") / "sql"


def load(file: str) -> Mapping[str, str]:
    """The statements of one file by name."""
    parts = re.split(r"^-- name: (\w+)\n", (SQL_FILES / file).read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], (text.strip() for text in parts[2::2]), strict=True))
