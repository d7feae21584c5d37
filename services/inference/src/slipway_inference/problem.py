"""Errors as RFC 9457 `application/problem+json`: the translator of all routes but the protocols'.

Routes of other protocols (under /v1 and /v2) bring a translator of their own.
"""

from __future__ import annotations

import re
from typing import Any

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from slipway_core import errors
from slipway_core.errors import FieldError, SlipwayError
from slipway_inference.request_context import context_of

MEDIA_TYPE = "application/problem+json"
_WORD = re.compile(r"(?<!^)(?=[A-Z])")
_LONGEST_INSTANCE = 512
_BY_STATUS: dict[int, type[SlipwayError]] = {
    400: errors.MalformedBody,
    404: errors.RouteNotFound,
    405: errors.MethodNotAllowed,
    413: errors.PayloadTooLarge,
    415: errors.UnsupportedMediaType,
}


def translate(error: Exception) -> SlipwayError:
    """The error of our hierarchy that stands for any exception; unknown ones tell no internals."""
    if isinstance(error, SlipwayError):
        return error
    if isinstance(error, RequestValidationError):
        return _from_validation(error)
    if isinstance(error, HTTPException) and error.status_code in _BY_STATUS:
        kind = _BY_STATUS[error.status_code]
        return kind(_MESSAGES.get(kind, str(error.detail)))
    return errors.InternalError(
        "something went wrong in the service; its log says what, under this request_id"
    )


def render_problem(scope: Scope, error: Exception) -> Response:
    """The response for an error, and its code noted in the request's context."""
    known = translate(error)
    context = context_of(scope)
    context.code = known.code
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if known.retry_after_seconds is not None or known.http_status in (429, 503):
        headers["Retry-After"] = str(known.retry_after_seconds or 1)
    return Response(
        orjson.dumps(describe(known, context.request_id, context.prefix + scope["path"])),
        status_code=known.http_status,
        headers=headers,
        media_type=MEDIA_TYPE,
    )


def describe(error: SlipwayError, request_id: str, path: str) -> dict[str, Any]:
    """The members of the problem document."""
    return {
        "type": f"urn:slipway:error:{error.code}",
        "title": _WORD.sub(" ", error.code).capitalize(),
        "status": error.http_status,
        "detail": _printable(error.message),
        "code": error.code,
        "instance": _printable(path[:_LONGEST_INSTANCE]),
        "request_id": request_id,
        "retryable": error.retryable,
        "errors": [
            {"field": _printable(part.field), "message": _printable(part.message)}
            for part in error.errors
        ],
    }


_MESSAGES: dict[type[SlipwayError], str] = {
    errors.RouteNotFound: "there is nothing at this path; /docs lists the routes",
    errors.MethodNotAllowed: "this path does not take this method; the Allow header names those",
}


def _from_validation(error: RequestValidationError) -> SlipwayError:
    found = tuple(
        FieldError(".".join(str(part) for part in one["loc"][1:]) or "body", str(one["msg"]))
        for one in error.errors()
    )
    first = found[0]
    return errors.InvalidInput(f"`{first.field}`: {first.message}", errors=found)


def _printable(text: str) -> str:
    """Text that has a UTF-8 form: what a client sent may hold half a surrogate pair."""
    return text.encode("utf-8", "replace").decode()
