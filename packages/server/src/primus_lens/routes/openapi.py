"""The OpenAPI document: FastAPI's for the readers, msgspec's schemas for the ingest endpoints.

Every operation may answer an error, and every error has one shape; the document says so once for
all, in place of the validation errors that FastAPI would tell of and that never leave this server.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import FastAPI

from primus_lens.ingest import wire
from primus_lens.model.errors import FieldProblem

_REF = "#/components/schemas/{name}"
_REFUSALS = {
    "400": "Not JSON, or names neither workload nor pod.",
    "409": "Some of these records are stored already.",
    "413": "Too large.",
    "415": "Not announced as JSON, or in an encoding other than gzip or zstd.",
    "422": "A field is wrong; `detail` says which.",
    "503": "Not now; see Retry-After.",
}

_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": f"^{wire.RECORD_RANGE}$"},
    "description": "`<stream>/<first>-<last>`: the records this request carries.",
}
_TOKEN = {"type": "http", "scheme": "bearer", "bearerFormat": "lens_<id>_<secret>"}


class Error(msgspec.Struct):
    """What every refusal and failure looks like. accepted: the records known, with partly_known."""

    error: str
    code: str
    detail: list[FieldProblem] | None = None
    accepted: list[tuple[int, int]] | None = None


class Stored(msgspec.Struct):
    """What became of a report. pending: kept until its pod is known. replayed: it was known.

    tell_run: what its stream told of its run before is not there any more.
    """

    message: str
    count: int
    workloads_count: int
    success_count: int
    pending: bool = False
    replayed: bool = False
    tell_run: bool = False


class PartStored(msgspec.Struct):
    """What became of one part of a batch."""

    success: bool
    count: int | None = None
    pending: bool = False
    error: str | None = None
    detail: list[FieldProblem] | None = None


class BatchStored(msgspec.Struct):
    """What became of each part of a batch. success: whether all succeeded."""

    success: bool
    results: dict[str, PartStored]


def describe(app: FastAPI, bodies: Mapping[str, type], *, with_tokens: bool = False) -> None:
    """Add the plain ingest routes to an app's document, its errors, and that it asks for tokens.

    bodies: message type by path.
    """
    document_of_readers = app.openapi
    answers = (Error, Stored, BatchStored)
    schemas, components = msgspec.json.schema_components(
        (*bodies.values(), *answers), ref_template=_REF
    )
    _let_parts_fail_alone(components)

    def document() -> dict[str, Any]:
        described = document_of_readers()
        known = described.setdefault("components", {}).setdefault("schemas", {})
        known.update(components)
        for (path, kind), schema in zip(bodies.items(), schemas, strict=False):
            described["paths"][path] = {"post": _operation(kind, schema)}
        for operations in described["paths"].values():
            for operation in operations.values():
                _tell_of_errors(operation["responses"])
                for parameter in operation.get("parameters", []):
                    parameter["schema"] = _without_null(parameter["schema"])
        for name in ("HTTPValidationError", "ValidationError"):
            known.pop(name, None)
        if with_tokens:
            described["components"]["securitySchemes"] = {"token": _TOKEN}
            described["security"] = [{"token": []}]
        return described

    app.openapi = document  # type: ignore[method-assign] # FastAPI's documented way to extend it


def _let_parts_fail_alone(components: dict[str, Any]) -> None:
    """A batch takes any JSON as a part: one that is wrong is told of in the answer."""
    batch = components.get(wire.BatchReport.__name__)
    for part in (batch or {}).get("properties", {}).values():
        part["anyOf"].append({"description": "Anything else fails alone."})


def _tell_of_errors(responses: dict[str, Any]) -> None:
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    responses.setdefault("default", _error("An error, in words."))


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """What a parameter may be when it is there; an address cannot say null."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind.get("type") != "null"]
    if len(kinds) != 1:
        return schema
    return {**{name: told for name, told in schema.items() if name != "anyOf"}, **kinds[0]}


def _error(words: str) -> dict[str, Any]:
    return _answer(words, Error)


def _answer(words: str, kind: type) -> dict[str, Any]:
    schema = {"$ref": _REF.format(name=kind.__name__)}
    return {"description": words, "content": {"application/json": {"schema": schema}}}


def _operation(kind: type, schema: Mapping[str, Any]) -> dict[str, Any]:
    stored = BatchStored if kind is wire.BatchReport else Stored
    return {
        "tags": ["ingest"],
        "summary": (kind.__doc__ or kind.__name__).strip().splitlines()[0],
        "parameters": [_KEY] if kind in {wire.MetricsReport, wire.LogsReport} else [],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {
            "200": _answer("Stored and committed, or kept until the pod is known.", stored),
            **{status: _error(words) for status, words in _REFUSALS.items()},
        },
    }
