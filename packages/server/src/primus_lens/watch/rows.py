"""Stored rows as the judges take them."""

import msgspec

from primus_lens.model import naming
from primus_lens.store.watch import StoredRow
from primus_lens.watch.points import JudgedRow


def judged_row(row: StoredRow) -> JudgedRow:
    """A stored row with its metrics under their own names."""
    document = msgspec.json.decode(row.document)
    values = {
        naming.metric_name(key): value
        for key, value in document.items()
        if key not in naming.METADATA_FIELDS
    }
    return JudgedRow(row.step, row.at, values)
