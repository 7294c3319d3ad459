"""Tokens: what lets a job report, or a reader read, when the server is not for this machine alone.

A token is the text `lens_<id>_<secret>`. The id may be told to anyone; the secret is shown once and
known to its holder alone.
"""

import hashlib
import hmac
import re
from typing import Literal, get_args

import msgspec

Scope = Literal["ingest", "read", "admin"]
"""What a token allows: sending reports, reading everything, or both and whatever comes."""

SCOPES: tuple[Scope, ...] = get_args(Scope)

ID_CHARACTERS = 10
ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
SECRET_BYTES = 32  # nobody guesses 256 random bits, so one round of SHA-256 is enough to store them

_TEXT = re.compile(rf"lens_([{ID_ALPHABET}]{{{ID_CHARACTERS}}})_([0-9a-f]{{{2 * SECRET_BYTES}}})")


class ApiToken(msgspec.Struct, frozen=True):
    """A token as the server knows it. Times are Unix seconds; digest: SHA-256 of the secret."""

    id: str
    name: str
    scopes: frozenset[Scope]
    digest: bytes
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    last_used_at: float | None = None

    def allows(self, scope: Scope) -> bool:
        """Whether it may be used for this; admin includes the others."""
        return scope in self.scopes or "admin" in self.scopes

    def works(self, now: float) -> bool:
        """Whether it is neither revoked nor expired. now: Unix seconds."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def has_secret(self, secret: str) -> bool:
        """Whether this is its secret; takes as long for a near miss as for a wild guess."""
        return hmac.compare_digest(self.digest, digest(secret))


def text(token_id: str, secret: str) -> str:
    """The token as its holder has it."""
    return f"lens_{token_id}_{secret}"


def split(given: str) -> tuple[str, str] | None:
    """The id and the secret of a text that looks like a token, else None."""
    found = _TEXT.fullmatch(given)
    return (found[1], found[2]) if found else None


def digest(secret: str) -> bytes:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode()).digest()
