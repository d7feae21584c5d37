"""Errors of Slipway's own routes: RFC 9457 `application/problem+json`."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from slipway_core.errors import SlipwayError
from slipway_inference.http.errors import ErrorContext, ErrorForm, printable

MAX_INSTANCE_CHARACTERS = 512
_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")


class ProblemField(msgspec.Struct, frozen=True):
    """One thing wrong with a request."""

    field: Annotated[str, Meta(examples=["input_text"])]
    message: Annotated[str, Meta(examples=["must not be empty"])]


class Problem(msgspec.Struct, frozen=True):
    """Every error of these routes (RFC 9457)."""

    type: Annotated[str, Meta(examples=["urn:slipway:error:InvalidInput"])]
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: Annotated[str, Meta(description="What was wrong and what to do, for people.")]
    code: Annotated[str, Meta(description="Stable name of the error, for programs.")]
    instance: Annotated[str, Meta(description="The path that was asked for.")]
    request_id: Annotated[str, Meta(description="The X-Request-ID; the log has it too.")]
    retryable: Annotated[bool, Meta(description="Whether the same request can succeed later.")]
    errors: list[ProblemField]


def _body(error: SlipwayError, context: ErrorContext) -> dict[str, Any]:
    return {
        "type": f"urn:slipway:error:{error.code}",
        "title": _WORD_START.sub(" ", error.code).capitalize(),
        "status": error.http_status,
        "detail": printable(error.message),
        "code": error.code,
        "instance": printable(context.path[:MAX_INSTANCE_CHARACTERS]),
        "request_id": context.request_id,
        "retryable": error.retryable,
        "errors": [
            {"field": printable(part.field), "message": printable(part.message)}
            for part in error.errors
        ],
    }


PROBLEMS = ErrorForm(
    media_type="application/problem+json",
    schema=Problem,
    status=lambda kind: kind.http_status,
    body=_body,
)
