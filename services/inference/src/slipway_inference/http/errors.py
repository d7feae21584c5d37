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
MIN_RETRY_AFTER_SECONDS = 1


@dataclass(frozen=True)
class ErrorContext:
    """Facts of a request for an error's body. `path` is the path as the client sent it."""

    request_id: str
    path: str


@dataclass(frozen=True)
class ErrorForm:
    """How a protocol spells errors.

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
        "something went wrong in the service; its log says what, under this request_id"
    )


def render_error(error: SlipwayError, form: ErrorForm, context: ErrorContext) -> Response:
    """Return the response for an error in a protocol's form."""
    headers = form.headers(error)
    if error.retry_after_seconds is not None or error.http_status in (429, 503):
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
    fields = tuple(
        FieldError(".".join(str(part) for part in one["loc"][1:]) or "body", str(one["msg"]))
        for one in error.errors()
    )
    first = fields[0]
    return errors.InvalidInput(f"`{first.field}`: {first.message}", errors=fields)
