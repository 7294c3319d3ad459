"""How a metric's name is kept inside a step's performance document.

The document keeps some names for itself (the specification's metadata fields). A metric that a job
happens to call `step` or `source` must neither vanish nor overwrite them, so it is stored under an
escaped name and read back under its own. Escaping is a bijection.
"""

METADATA_FIELDS = frozenset(
    {"source", "run_id", "step", "history", "history_total", "created_at", "updated_at"}
)
"""The specification's wandbMetadataFields, and the total that goes with a bounded history."""

ESCAPE = "metric:"


def stored_name(name: str) -> str:
    """The document's key for a metric."""
    return ESCAPE + name if name in METADATA_FIELDS or name.startswith(ESCAPE) else name


def metric_name(key: str) -> str:
    """The metric's own name for a document's key."""
    return key.removeprefix(ESCAPE)


NUMBERS_AS_TEXT = frozenset({"NaN", "Infinity", "-Infinity", "-0.0"})
"""Numbers that JSONB cannot hold as such, and the text that stands for them."""
