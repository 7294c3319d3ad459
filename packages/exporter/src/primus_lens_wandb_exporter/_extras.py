"""What each row is given in passing: the marker, and system metrics when asked for."""

MARK = "_primus_lens_enabled"


class Extras:
    """Names and JSON texts, replaced as a whole; empty when there is nothing to give.

    The training thread adds them to its row item by item, as wandb has just added its own. Merging
    ready bytes is faster in a loop and slower in a job, where the parser's code is cold.
    """

    def __init__(self) -> None:
        self.items: tuple[tuple[str, str], ...] = ()
        self._values: dict[str, float] = {}

    def put(self, values: dict[str, float]) -> None:
        """Add or replace values, True or floats; rows from now on carry them."""
        self._values.update(values)
        self.items = tuple(
            (name, "true" if value is True else repr(value)) for name, value in self._values.items()
        )
