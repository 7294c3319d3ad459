"""The OpenAPI document: FastAPI's for the readers, msgspec's schemas for the ingest endpoints."""

from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import FastAPI

_REF = "#/components/schemas/{name}"
_ANSWERS = {
    "200": "Stored and committed, or kept until the pod is known.",
    "400": "Not JSON, or names neither workload nor pod.",
    "409": "Some of these records are stored already.",
    "413": "Too large.",
    "415": "Not announced as JSON, or in an encoding other than gzip or zstd.",
    "422": "A field is wrong; `detail` says which.",
    "503": "Not now; see Retry-After.",
}

_TOKEN = {"type": "http", "scheme": "bearer", "bearerFormat": "lens_<id>_<secret>"}


def describe(app: FastAPI, bodies: Mapping[str, type], *, with_tokens: bool = False) -> None:
    """Add the plain ingest routes to an app's document, and that it asks for tokens.

    bodies: message type by path.
    """
    document_of_readers = app.openapi
    schemas, components = msgspec.json.schema_components(bodies.values(), ref_template=_REF)

    def document() -> dict[str, Any]:
        described = document_of_readers()
        described.setdefault("components", {}).setdefault("schemas", {}).update(components)
        for (path, kind), schema in zip(bodies.items(), schemas, strict=True):
            described["paths"][path] = {"post": _operation(kind, schema)}
        if with_tokens:
            described["components"]["securitySchemes"] = {"token": _TOKEN}
            described["security"] = [{"token": []}]
        return described

    app.openapi = document  # type: ignore[method-assign] # FastAPI's documented way to extend it


def _operation(kind: type, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "tags": ["ingest"],
        "summary": (kind.__doc__ or kind.__name__).strip().splitlines()[0],
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "schema": {"type": "string"},
                "description": "`<stream>/<first>-<last>`: the records this request carries.",
            }
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {status: {"description": words} for status, words in _ANSWERS.items()},
    }
