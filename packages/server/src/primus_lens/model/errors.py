"""What can go wrong, told so that a person can act on it.

Only routes/problems.py knows HTTP statuses.

LensError
├─ ConfigError         the operator's: serve refuses to start
├─ Rejected            the sender's fault: never retry unchanged
│  ├─ MalformedBody    not JSON, or not in the form the wire knows
│  ├─ UnsupportedBody  a content type or encoding that is not read
│  ├─ TooLarge         over a limit
│  ├─ InvalidField     one field is wrong; names it
│  ├─ UnknownWorkload  the report names neither workload nor pod
│  ├─ PartlyKnown      some of these records are stored already
│  ├─ TooLate          whether these records are stored already is forgotten
│  ├─ UnknownCluster   no such data plane
│  ├─ NotKnown         a reader asks for something that is not there
│  ├─ TokenRefused     no token, or none that works
│  ├─ ScopeMissing     the token is not for this
│  └─ BadQuery         a reader's parameter is wrong
├─ TryLater            our state: carries retry_after_s
│  ├─ IntakeFull       too much is waiting to be stored
│  ├─ TookTooLong      a statement was cancelled at its time limit
│  └─ StoreUnavailable PostgreSQL cannot be reached just now
├─ NotInstalled        an optional library of the server is missing
└─ Defect              our bug: logged with its traceback
"""

from collections.abc import Sequence
from typing import Any

import msgspec


class FieldProblem(msgspec.Struct, frozen=True):
    """One field of a request that is wrong: where, what was got, what is allowed."""

    field: str
    got: Any
    allowed: str


class LensError(Exception):
    """The root. code: a short word for clients and docs. detail: the fields at fault, if any."""

    code = "error"

    def __init__(self, message: str, detail: Sequence[FieldProblem] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.detail = tuple(detail)


class ConfigError(LensError):
    """The configuration or the machine does not allow what was asked; a person must change it."""

    code = "config"


class Rejected(LensError):
    """The sender's fault: the same request will never be accepted."""

    code = "rejected"


class MalformedBody(Rejected):
    """The body is not JSON at all."""

    code = "malformed_body"


class UnsupportedBody(Rejected):
    """The body's content type or encoding is not one that is read."""

    code = "unsupported_body"


class TooLarge(Rejected):
    """The body is over a limit; a smaller one would be taken."""

    code = "too_large"


class InvalidField(Rejected):
    """A field is missing or wrong."""

    code = "invalid_field"

    @classmethod
    def of(cls, field: str, got: Any, allowed: str) -> "InvalidField":  # noqa: ANN401 - any JSON value can be wrong
        """One wrong field, said as a sentence. got: the JSON value as received."""
        shown = msgspec.json.encode(got).decode()
        if len(shown) > _SHOWN_CHARACTERS:
            got = shown = shown[:_SHOWN_CHARACTERS] + "…"
        return cls(f"{field} is {shown}; it must be {allowed}", [FieldProblem(field, got, allowed)])

    @classmethod
    def missing(cls, field: str, allowed: str) -> "InvalidField":
        """A required field that is not there."""
        message = f"{field} is missing; it must be {allowed}"
        return cls(message, [FieldProblem(field, None, allowed)])


_SHOWN_CHARACTERS = 80  # enough to recognise a value, too few to flood a log


class UnknownWorkload(Rejected):
    """A report must say whose it is."""

    code = "unknown_workload"


class PartlyKnown(Rejected):
    """Some of the request's records are stored already.

    accepted: the record numbers known of that stream, as inclusive (first, last) pairs, ascending.
    """

    code = "partly_known"

    def __init__(self, message: str, accepted: Sequence[tuple[int, int]]) -> None:
        super().__init__(message)
        self.accepted = tuple(accepted)


class TooLate(Rejected):
    """Records so old that the server no longer knows whether it has them."""

    code = "too_late"


class UnknownCluster(Rejected):
    """A reader named a data plane that is not configured."""

    code = "unknown_cluster"


class NotKnown(Rejected):
    """A reader named something of which nothing is stored."""

    code = "not_known"


class TokenRefused(Rejected):
    """A request without a token, or with one that does not work."""

    code = "token_refused"


class ScopeMissing(Rejected):
    """The token works, but not for this. needed: the scope it lacks."""

    code = "scope_missing"

    def __init__(self, message: str, needed: str) -> None:
        super().__init__(message)
        self.needed = needed


class BadQuery(InvalidField):
    """A reader's parameter is wrong."""

    code = "bad_query"


class TryLater(LensError):
    """Nothing is wrong with the request; retry_after_s is when to send it again."""

    code = "try_later"

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class IntakeFull(TryLater):
    """Too many bytes are waiting to be stored."""

    code = "intake_full"


class TookTooLong(TryLater):
    """PostgreSQL cancelled a statement, mostly at a limit of time; nothing was stored."""

    code = "took_too_long"


class StoreUnavailable(TryLater):
    """PostgreSQL cannot be reached or is starting; nothing was stored."""

    code = "store_unavailable"


class NotInstalled(LensError):
    """What was asked for needs a library that this server does not have."""

    code = "not_installed"


class Defect(LensError):
    """Our bug."""

    code = "defect"
