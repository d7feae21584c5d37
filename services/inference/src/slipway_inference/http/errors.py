"""Renders errors in the form of a protocol. Their codes are the same in all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from slipway_core import errors
from slipway_core.errors import FieldError, SlipwayError

_BY_STATUS: dict[int, type[SlipwayError]] = {
    400: errors.MalformedBody,
    404: errors.RouteNotFound,
    405: errors.MethodNotAllowed,
    413: errors.PayloadTooLarge,
    415: errors.UnsupportedMediaType,
}
_MESSAGES: dict[type[SlipwayError], str] = {
    errors.RouteNotFound: "there is nothing at this path; /docs lists the routes",
    errors.MethodNotAllowed: "this path does not take this method; the Allow header names those",
}
RETRY_AFTER_STATUSES = (429, 503)
"""Statuses whose responses always have a Retry-After."""
MIN_RETRY_AFTER_SECONDS = 1


@dataclass(frozen=True)
class ErrorContext:
    """Facts of a request for an error's body. `path` is the path as the client sent it."""

    request_id: str
    path: str


@dataclass(frozen=True)
class ErrorForm:
    """The form of errors in a protocol.

    `schema` describes the body that `body` makes. `headers` are those that the protocol adds.
    """

    media_type: str
    schema: type[msgspec.Struct]
    status: Callable[[type[SlipwayError]], int]
    body: Callable[[SlipwayError, ErrorContext], dict[str, Any]]
    headers: Callable[[SlipwayError], dict[str, str]] = lambda error: {}


def translate(error: Exception) -> SlipwayError:
    """Return the error of our hierarchy that stands for any exception. Unexpected exceptions become
    an InternalError that reveals nothing of them.
    """
    if isinstance(error, SlipwayError):
        return error
    if isinstance(error, RequestValidationError):
        return _invalid_input(error)
    if isinstance(error, HTTPException) and error.status_code in _BY_STATUS:
        kind = _BY_STATUS[error.status_code]
        return kind(_MESSAGES.get(kind, str(error.detail)))
    return errors.InternalError(
        "the service failed unexpectedly; its log has the cause under this request_id"
    )


def render_error(error: SlipwayError, form: ErrorForm, context: ErrorContext) -> Response:
    """Return the response for an error in a protocol's form."""
    headers = form.headers(error)
    if error.retry_after_seconds is not None or error.http_status in RETRY_AFTER_STATUSES:
        headers["Retry-After"] = str(error.retry_after_seconds or MIN_RETRY_AFTER_SECONDS)
    body = orjson.dumps(form.body(error, context))
    return Response(body, form.status(type(error)), headers, form.media_type)


def status_without_422(kind: type[SlipwayError]) -> int:
    """Return the status of an error for protocols that answer 400 to an invalid input."""
    return 400 if kind.http_status == 422 else kind.http_status


def printable(text: str) -> str:
    """Return text that can be encoded as UTF-8: a client may have sent half a surrogate pair."""
    return text.encode("utf-8", "replace").decode()


def _invalid_input(error: RequestValidationError) -> SlipwayError:
    """Return the error for parameters that FastAPI has validated. It names the first one."""
    fields = tuple(
        FieldError(".".join(str(part) for part in one["loc"][1:]) or "body", _rule(one))
        for one in error.errors()
    )
    first = fields[0]
    return errors.InvalidInput(f"`{first.field}` {first.message}", errors=fields)


_A_TIME = "must be a time such as 2026-01-31T12:00:00Z; write the + of a time zone as %2B"
_RULES = {
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of fewer digits",
    "string_pattern_mismatch": "must match {pattern}",
    "string_too_long": "must have at most {max_length} characters",
    "uuid_parsing": "must be a UUID such as 0199d2a4-7c1e-7b3a-9f00-2b6d1c4e8a55",
    "value_error": "{error}",
    "datetime_from_date_parsing": _A_TIME,
    "datetime_parsing": _A_TIME,
}
"""Rules in our words by pydantic's type of error."""


def _rule(error: dict[str, Any]) -> str:
    template = _RULES.get(error["type"])
    if template is None:
        message = str(error["msg"])
        return message[:1].lower() + message[1:]
    return template.format(**error.get("ctx", {}))
