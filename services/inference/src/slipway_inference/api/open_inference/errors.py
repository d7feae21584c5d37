"""Errors under /v2, in the form of the Open Inference Protocol."""

from __future__ import annotations

from typing import Any

from slipway_core.errors import SlipwayError
from slipway_inference.api.open_inference.schemas import InferError
from slipway_inference.http.bodies import JSON
from slipway_inference.http.errors import ErrorContext, ErrorForm, printable, status_without_422


def _body(error: SlipwayError, context: ErrorContext) -> dict[str, Any]:
    """The protocol has room for a text alone, so the text names the code and the field."""
    message = error.message
    if error.errors and (field := f"`{error.errors[0].field}`") not in message:
        message = f"{field}: {message}"
    return {"error": printable(f"{error.code}: {message}")}


INFERENCE_ERRORS = ErrorForm(
    media_type=JSON, schema=InferError, status=status_without_422, body=_body
)
