"""Builds the API document from what the routes declare beside themselves.

Schemas are made from the msgspec structures that a route's documentation refers to, and error
responses from the classes of the errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from slipway_core import errors
from slipway_core.errors import SlipwayError
from slipway_inference.http.bodies import JSON
from slipway_inference.http.errors import RETRY_AFTER_STATUSES, ErrorContext, ErrorForm

API_VERSION = "1.0"
EXAMPLE_ID = "0199d2a4-7c1e-7b3a-9f00-2b6d1c4e8a55"
_EXAMPLE_CONTEXT = ErrorContext("4f1d2c3b5a6978877665544332211000", "/predict/text")
_REF = "#/components/schemas/"
_DESCRIPTION = """\
Predictions of one PyTorch model, at once or as durable batch jobs.

Every path is also available under `/models/<name>/`. Errors are `application/problem+json` with a
stable `code`; `retryable` says whether the same request can succeed later, and Retry-After when.
Under `/v1` and `/v2`, errors have the form that clients of these protocols expect.
"""
_ERRORS_OF_ALL_ROUTES: tuple[type[SlipwayError], ...] = (
    errors.UnknownModel,
    errors.HeadersTooLarge,
)
Struct = type[msgspec.Struct]


class _Reference(dict[str, Any]):
    """A schema by reference. The document takes up the schemas of all references in its routes."""

    def __init__(self, kinds: tuple[Struct, ...]) -> None:
        references = [{"$ref": _REF + kind.__name__} for kind in kinds]
        super().__init__(references[0] if len(references) == 1 else {"anyOf": references})
        self.kinds = kinds


def reference(*kinds: Struct) -> dict[str, Any]:
    """Return a reference to the schema of a structure, or to any of several."""
    return _Reference(kinds)


def parameter(
    name: str, place: str, schema: dict[str, Any], description: str = "", **more: Any
) -> dict[str, Any]:
    """Return a parameter object. `place` is path, query or header."""
    described = {"description": description} if description else {}
    return {"name": name, "in": place, "schema": schema, **described, **more}


def success(
    description: str, kind: Struct | tuple[Struct, ...], example: Any = None, **more: Any
) -> dict[str, Any]:
    """Return a response object with a JSON body. `more` are further members of the object."""
    content: dict[str, Any] = {
        "schema": reference(*kind) if isinstance(kind, tuple) else reference(kind)
    }
    if example is not None:
        content["example"] = example
    return {"description": description, "content": {JSON: content}, **more}


def error_responses(form: ErrorForm, *kinds: type[SlipwayError]) -> dict[int | str, dict[str, Any]]:
    """Return the error responses of a route by status, with an example for each code."""
    responses: dict[int | str, dict[str, Any]] = {}
    every_kind = {*kinds, *_ERRORS_OF_ALL_ROUTES}
    for kind in sorted(every_kind, key=lambda one: (form.status(one), one.__name__)):
        status = form.status(kind)
        entry = responses.setdefault(status, _empty_response(form, status))
        examples = entry["content"][form.media_type]["examples"]
        codes = [*examples, kind.__name__]
        entry["description"] = " or ".join(f"`{code}`" for code in codes)
        error = kind("what was wrong, and what to do about it")
        examples[kind.__name__] = {"value": form.body(error, _EXAMPLE_CONTEXT)}
    return responses


def install(api: FastAPI) -> None:
    """Make `api.openapi()` return our document."""

    def document() -> dict[str, Any]:
        if api.openapi_schema is None:
            api.openapi_schema = _build(api)
        return api.openapi_schema

    api.openapi = document  # type: ignore[method-assign]


def _build(api: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title="Slipway",
        version=API_VERSION,
        summary="Serves PyTorch models",
        description=_DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        routes=api.routes,
        servers=[{"url": ".", "description": "where this document was fetched from"}],
    )
    kinds = {
        kind
        for route in api.routes
        if getattr(route, "include_in_schema", False)
        for part in (getattr(route, "responses", None), getattr(route, "openapi_extra", None))
        for kind in _referenced(part)
    }
    _, schemas = msgspec.json.schema_components(kinds, ref_template=_REF + "{name}")
    document.setdefault("components", {})["schemas"] = dict(sorted(schemas.items()))
    return document


def _referenced(part: Any) -> Iterator[Struct]:
    """Yield the structures that a part of a route's documentation refers to."""
    if isinstance(part, _Reference):
        yield from part.kinds
    elif isinstance(part, dict):
        for value in part.values():
            yield from _referenced(value)
    elif isinstance(part, list):
        for value in part:
            yield from _referenced(value)


def _empty_response(form: ErrorForm, status: int) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": "",
        "content": {form.media_type: {"schema": reference(form.schema), "examples": {}}},
    }
    if status in RETRY_AFTER_STATUSES:
        response["headers"] = {
            "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait."}
        }
    return response
