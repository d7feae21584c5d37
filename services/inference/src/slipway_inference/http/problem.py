"""The form that errors have on our own routes: RFC 9457 `application/problem+json`."""

from __future__ import annotations

import re
from typing import Any

from slipway_core.errors import SlipwayError

MEDIA_TYPE = "application/problem+json"
_WORD = re.compile(r"(?<!^)(?=[A-Z])")
_LONGEST_INSTANCE = 512


def describe(error: SlipwayError, request_id: str, path: str) -> dict[str, Any]:
    """The members of the problem document."""
    return {
        "type": f"urn:slipway:error:{error.code}",
        "title": _WORD.sub(" ", error.code).capitalize(),
        "status": error.http_status,
        "detail": printable(error.message),
        "code": error.code,
        "instance": printable(path[:_LONGEST_INSTANCE]),
        "request_id": request_id,
        "retryable": error.retryable,
        "errors": [
            {"field": printable(part.field), "message": printable(part.message)}
            for part in error.errors
        ],
    }


def printable(text: str) -> str:
    """Text that has a UTF-8 form: what a client sent may hold half a surrogate pair."""
    return text.encode("utf-8", "replace").decode()
