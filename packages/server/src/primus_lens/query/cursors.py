"""A live reader's place as text: what an event's id and the `cursor` of an answer say. Pure."""

import base64

import msgspec

from primus_lens.model import errors
from primus_lens.store.changes import RunKey, Seen

_DECODER = msgspec.json.Decoder(list[tuple[int, str, int]])


def of(seen: Seen) -> str:
    """A place as text that fits a header and an address."""
    plain = msgspec.json.encode([(*key, version) for key, version in sorted(seen.items())])
    return base64.urlsafe_b64encode(plain).decode().rstrip("=")


def seen_at(cursor: str) -> dict[RunKey, int]:
    """The place that a text names. Raises BadQuery."""
    try:
        plain = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        return {(serial, source): version for serial, source, version in _DECODER.decode(plain)}
    except ValueError as error:
        raise errors.BadQuery.of("after", cursor, "an id that this server gave") from error
