"""The wire format of protocol/v1: bytes to typed messages, or words on what is wrong.

Comes after routes/wandb_v1 has read a body within its limits; admission turns the messages into
rows. Decoding is msgspec's, which checks types as it reads; only when it refuses a body is the
body read again, to say which field, what was got and what is allowed.
"""

import re
import sys
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from primus_lens.model import detections, errors
from primus_lens.model.points import RecordRange

LONGEST_STREAM = 128  # characters, as the column
LONGEST_NAME = 255  # characters of a name or an identity, as the specification's columns
LARGEST_STEP = 2**63 - 1  # PostgreSQL's BIGINT
MOST_POINTS = 10_000  # a request; more is slower to retry than to send in two
LARGEST_NUMBER = sys.float_info.max  # an integer beyond it has no place on a curve
EARLIEST, LATEST = -62_135_596_800, 253_402_300_799  # Unix seconds: the years 1 to 9999
DEEPEST = 32  # levels of nesting in what a job may send along
RECORD_RANGE = r"([A-Za-z0-9._-]{1,128})/([0-9]{1,18})(?:-([0-9]{1,18}))?"  # an Idempotency-Key

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME)]
Identity = Annotated[str, msgspec.Meta(max_length=LONGEST_NAME)]
Source = Annotated[str, msgspec.Meta(min_length=1, max_length=50)]
Step = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_STEP)]
Timestamp = Annotated[float, msgspec.Meta(ge=EARLIEST, le=LATEST)]
Count = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_STEP)]
Number = int | float | Literal["NaN", "Infinity", "-Infinity"]


class Metric(msgspec.Struct):
    """One point."""

    name: Name
    value: Number
    step: Step
    timestamp: Timestamp | None = None
    tags: dict[str, Any] | None = None


class RunFacts(msgspec.Struct, omit_defaults=True):
    """What a run is and how it stands; a field that is left out stays as it was."""

    name: str | None = None
    project: str | None = None
    entity: str | None = None
    group: str | None = None
    job_type: str | None = None
    tags: list[str] | None = None
    config: dict[str, Any] | None = None
    attempt: Timestamp | None = None
    summary: dict[str, Any] | None = None
    started_at: Timestamp | None = None
    ended_at: Timestamp | None = None
    state: Literal["running", "finished", "failed", "crashed"] | None = None
    exit_code: int | None = None
    rank: int | None = None
    local_rank: int | None = None
    node_rank: int | None = None
    world_size: int | None = None
    hostname: str | None = None


class Definition(msgspec.Struct, omit_defaults=True):
    """What wandb's define_metric said of one name or glob."""

    name: Name
    step_metric: str | None = None
    hidden: bool | None = None
    goal: Literal["minimize", "maximize"] | None = None


class GapNotice(msgspec.Struct):
    """Records a stream lost for good."""

    first: Count
    last: Count
    reason: Literal["spool_full", "corrupt", "rejected"]
    points: Count = 0


class Exporter(msgspec.Struct):
    """Which exporter speaks, and what it had to drop since it started."""

    version: str = ""
    dropped: dict[str, int] = {}


class Addressed(msgspec.Struct, kw_only=True):
    """What a report says beside its points: whose they are, and when it was sent."""

    source: Source = "wandb"
    workload_uid: Identity = ""
    pod_uid: Identity = ""
    pod_name: Identity = ""
    namespace: Identity = ""
    run_id: Identity = ""
    timestamp: Timestamp | None = None


class MetricsReport(Addressed):
    """Body of POST /api/v1/wandb/metrics."""

    metrics: Annotated[list[Metric], msgspec.Meta(max_length=MOST_POINTS)]
    run: RunFacts | None = None
    definitions: list[Definition] = []
    gaps: list[GapNotice] = []
    exporter: Exporter | None = None


class LogRow(msgspec.Struct):
    """Everything a job logged at one step; what is not a number stays out of the curves."""

    step: Step
    data: dict[Name, Any]
    timestamp: Timestamp | None = None


class LogsReport(Addressed):
    """Body of POST /api/v1/wandb/logs."""

    logs: Annotated[list[LogRow], msgspec.Meta(max_length=MOST_POINTS)]


class UserDetection(msgspec.Struct):
    """Body of PUT /api/v1/workloads/{uid}/detection: what a person says the workload runs.

    At least one of the two; a framework is a wrapper (drives the training) or a base (does it).
    """

    wrapper_framework: Identity = ""
    base_framework: Identity = ""


class BatchReport(msgspec.Struct):
    """Body of POST /api/v1/wandb/batch. Describes it; `decode_parts` reads it."""

    detection: detections.DetectionRequest | None = None
    metrics: MetricsReport | None = None
    logs: LogsReport | None = None


PARTS = BatchReport.__struct_fields__

_IN_JSON: dict[str, type] = {
    "int": int,
    "str": str,
    "float": float,
    "bool": bool,
    "null": type(None),
    "object": dict,
    "array": list,
}
"""Msgspec's words for what it got"""

T = TypeVar("T")
Message = TypeVar("Message", MetricsReport, LogsReport, UserDetection, detections.DetectionRequest)

_DECODERS: dict[type, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind)
    for kind in (MetricsReport, LogsReport, UserDetection, detections.DetectionRequest)
}
_PARTS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ANYTHING = msgspec.json.Decoder()

_BARE_WORD = re.compile(rb"[:\[,]\s*-?(?:NaN|Infinity)\b")  # as Python writes them
_NOT_JSON = '; write what is no number as one of the strings "NaN", "Infinity", "-Infinity"'

_PER_FIELD = {
    "name": f"a string of 1 to {LONGEST_NAME} characters",
    "step": f"an integer from 0 to {LARGEST_STEP}",
    "value": 'a number, or one of "NaN", "Infinity", "-Infinity"',
    "timestamp": f"a number of Unix seconds from {EARLIEST} to {LATEST}",
    "metrics": f"a list of at most {MOST_POINTS} points",
    "logs": f"a list of at most {MOST_POINTS} rows",
}
_PER_TYPE = {
    "int": "an integer",
    "str": "a string",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
}


def decode(kind: type[Message], body: bytes | msgspec.Raw) -> Message:
    """The message in a body. Raises MalformedBody (not JSON) or InvalidField (which, and why)."""
    message: Message = _decoded(_DECODERS[kind], body)
    if _may_be_unstorable(message, bytes(body)):
        # Read untyped, a body shows damage in the fields that a typed reader skips, too.
        _refuse_unstorable(_decoded(_ANYTHING, body))
    return message


def decode_question(kind: type[T], body: bytes) -> T:
    """A reader's body as its type; nothing of it is stored. Raises MalformedBody, InvalidField."""
    question: T = _decoded(msgspec.json.Decoder(kind), body)
    return question


def _may_be_unstorable(message: object, body: bytes) -> bool:
    """Whether a body is worth a closer look; most metrics reports are not, which saves a walk."""
    if not isinstance(message, MetricsReport):
        return True
    return b"\\u0000" in body or any(
        isinstance(metric.value, int) and abs(metric.value) > LARGEST_NUMBER
        for metric in message.metrics
    )


def decode_parts(body: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """The parts of a batch, not yet decoded, so that each can fail alone; null ones left out.

    Raises InvalidField for a batch without any.
    """
    given: dict[str, msgspec.Raw] = _decoded(_PARTS, body)
    parts = {name: given[name] for name in PARTS if bytes(given.get(name, b"null")) != b"null"}
    if not parts:
        raise errors.InvalidField.of("the batch", list(given), f"one with {', '.join(PARTS)}")
    return parts


def _decoded(decoder: msgspec.json.Decoder[Any], body: bytes | msgspec.Raw) -> Any:  # noqa: ANN401
    if not body:
        raise errors.MalformedBody("the body is empty; it must be a JSON object")
    try:
        return _checked(decoder, body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        hint = _NOT_JSON if _BARE_WORD.search(bytes(body)) else ""
        raise errors.MalformedBody(f"the body is not valid JSON: {error}{hint}") from error
    except RecursionError as error:
        raise errors.MalformedBody("the body is not valid JSON: it is nested too deep") from error


def _checked(decoder: msgspec.json.Decoder[Any], body: bytes | msgspec.Raw) -> Any:  # noqa: ANN401
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _explained(str(error), body) from error


def record_range(key: str) -> RecordRange:
    """An Idempotency-Key: `<stream>/<seq>` or `<stream>/<first>-<last>`."""
    match = re.fullmatch(RECORD_RANGE, key)
    if match is None:
        raise errors.InvalidField.of("Idempotency-Key", key, "<stream>/<first>-<last>")
    stream, first, last = match.group(1), int(match.group(2)), int(match.group(3) or match.group(2))
    if last < first:
        raise errors.InvalidField.of("Idempotency-Key", key, "a range that does not run backwards")
    return RecordRange(stream, first, last)


def records_of_part(records: RecordRange, part: str) -> RecordRange:
    """The records of a batch as one part of it has them: in a stream of its own.

    One part may be stored and another not yet. No sender's stream has a colon in its name.
    Raises InvalidField where the name leaves no room for the part's.
    """
    stream = f"{records.stream}:{part}"
    if len(stream) > LONGEST_STREAM:
        most = LONGEST_STREAM - len(f":{part}")
        allowed = f"for a batch with {part} a stream of at most {most} characters"
        raise errors.InvalidField.of("Idempotency-Key", records.stream, allowed)
    return RecordRange(stream, records.first, records.last)


def _explained(refusal: str, body: bytes | msgspec.Raw) -> errors.InvalidField:
    """Msgspec's refusal as a sentence with the value that was got."""
    reason, _, path = refusal.partition(" - at `")
    of_a_key = path.startswith("key` in `")
    field = path.removeprefix("key` in `").removeprefix("$").rstrip("`").lstrip(".")
    absent = re.search(r"missing required field `(\w+)`", reason)
    if absent:
        name = absent.group(1)
        return errors.InvalidField.missing(f"{field}.{name}".lstrip("."), _allowed(name, reason))
    if reason.endswith("out of range"):  # then no second reading could say which number
        raise errors.InvalidField.of(field or "the body", "…", f"a number up to {LARGEST_NUMBER}")
    expected = re.search(r"got `(\w+)`", reason)
    wanted = _IN_JSON.get(expected.group(1)) if expected else None
    steps = re.findall(r"[^.\[\]]+|\[[^\]]*\]", field)
    field, got = _found(msgspec.json.decode(body, strict=False), steps, wanted) or (field, None)
    field = field.lstrip(".")
    if of_a_key and isinstance(got, dict):
        wrong = next((key for key in got if not 1 <= len(key) <= LONGEST_NAME), "")
        return errors.InvalidField.of(f"a name in {field}", wrong, _PER_FIELD["name"])
    if not field:
        return errors.InvalidField.of("the body", got, "an object")
    return errors.InvalidField.of(field, got, _allowed(re.split(r"[.\[]", field)[-1], reason))


def _allowed(name: str, reason: str) -> str:
    if name in _PER_FIELD:
        return _PER_FIELD[name]
    expected = re.search(r"Expected `([^`]+)`", reason)
    length = re.search(r"of length (.+)", reason)
    if expected is None:
        return f"different ({reason})"
    kinds = [_PER_TYPE.get(kind, kind) for kind in expected.group(1).split(" | ")]
    words = " or ".join(kind for kind in kinds if kind != "null")
    return f"{words} of length {length.group(1)}" if length else words


def _found(node: Any, steps: list[str], kind: type | None) -> tuple[str, Any] | None:  # noqa: ANN401
    """The place and value at steps such as ["metrics", "[3]", "step"]; None where they lead out.

    The step "[...]" is a key that msgspec does not name: the first that leads to a value of that
    kind, if one is given.
    """
    if not steps:
        return ("", node) if kind is None or type(node) is kind else None
    step, *rest = steps
    inside: list[tuple[str, Any]] = []
    if step == "[...]" and isinstance(node, dict):
        inside = [(f".{key}", value) for key, value in node.items()]
    elif step.startswith("[") and isinstance(node, list) and step[1:-1].isdigit():
        inside = [(step, value) for value in node[int(step[1:-1]) :][:1]]
    elif isinstance(node, dict) and step in node:
        inside = [(f".{step}", node[step])]
    for name, value in inside:
        found = _found(value, rest, kind)
        if found is not None:
            return f"{name}{found[0]}", found[1]
    return None


def _refuse_unstorable(tree: Any) -> None:  # noqa: ANN401 - a JSON tree
    """Raises InvalidField for NUL, which JSONB refuses, numbers past float64, and deep nesting."""
    for field, node, depth in _walk(tree, "", 1):
        if depth > DEEPEST:
            raise errors.InvalidField.of(field, "…", f"nested at most {DEEPEST} deep")
        if isinstance(node, str) and "\x00" in node:
            raise errors.InvalidField.of(field, node, "text without NUL characters")
        if isinstance(node, int) and abs(node) > LARGEST_NUMBER:
            raise errors.InvalidField.of(field, "…", f"a number up to {LARGEST_NUMBER}")


def _walk(node: Any, at: str, depth: int) -> Iterator[tuple[str, Any, int]]:  # noqa: ANN401
    yield at, node, depth
    if depth > DEEPEST:
        return
    if isinstance(node, dict):
        for key, value in node.items():
            yield f"{at}.{key}".lstrip("."), key, depth
            yield from _walk(value, f"{at}.{key}".lstrip("."), depth + 1)
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from _walk(value, f"{at}[{i}]", depth + 1)
