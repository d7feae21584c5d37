"""Errors under /v1, in OpenAI's form."""

from __future__ import annotations

from typing import Any

from slipway_core.errors import SlipwayError
from slipway_inference.api.openai.schemas import OpenAiError
from slipway_inference.http.bodies import JSON
from slipway_inference.http.errors import ErrorContext, ErrorForm, printable, status_without_422


def _body(error: SlipwayError, context: ErrorContext) -> dict[str, Any]:
    kind = "server_error" if error.http_status >= 500 else "invalid_request_error"
    return {
        "error": {
            "message": printable(error.message),
            "type": "rate_limit_error" if error.http_status == 429 else kind,
            "param": printable(error.errors[0].field) if error.errors else None,
            "code": error.code,
        }
    }


def _headers(error: SlipwayError) -> dict[str, str]:
    """Tell clients whether to retry: they retry any 5xx otherwise."""
    return {"x-should-retry": "true" if error.retryable else "false"}


OPENAI_ERRORS = ErrorForm(
    media_type=JSON, schema=OpenAiError, status=status_without_422, body=_body, headers=_headers
)
