"""Answers to errors, in the form that the protocol of the route wants.

Routes under /v1 speak OpenAI's protocol, those under /v2 the Open Inference Protocol, and all
others answer with a problem document (see `problem`). The code that is logged and counted is the
same in all of them.
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
from slipway_inference.http import problem
from slipway_inference.http.bodies import JSON
from slipway_inference.http.context import RequestContext, context_of, split_model
from slipway_inference.http.problem import printable

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
_PROTOCOL = re.compile(r"/(v1|v2)(/|$)")


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


def render_error(scope: Scope, error: Exception) -> Response:
    """The response for an error, and its code noted in the request's context."""
    known = translate(error)
    context = context_of(scope)
    context.code = known.code
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if known.retry_after_seconds is not None or known.http_status in (429, 503):
        headers["Retry-After"] = str(known.retry_after_seconds or 1)
    protocol = _PROTOCOL.match(split_model(scope["path"])[1])
    if protocol is None:
        return _problem(known, context, scope["path"], headers)
    body = inference_error(known)
    if protocol[1] == "v1":
        body = openai_error(known)
        # Its clients try any 5xx again, unless they are told what would come of it.
        headers["x-should-retry"] = "true" if known.retryable else "false"
    return Response(orjson.dumps(body), protocol_status(type(known)), headers, JSON)


def protocol_status(kind: type[SlipwayError]) -> int:
    """The HTTP status of an error in the protocols of others, where a wrong input is 400."""
    return 400 if kind.http_status == 422 else kind.http_status


def openai_error(error: SlipwayError) -> dict[str, Any]:
    """The body of an error under /v1."""
    kind = "server_error" if error.http_status >= 500 else "invalid_request_error"
    return {
        "error": {
            "message": printable(error.message),
            "type": "rate_limit_error" if error.http_status == 429 else kind,
            "param": printable(error.errors[0].field) if error.errors else None,
            "code": error.code,
        }
    }


def inference_error(error: SlipwayError) -> dict[str, Any]:
    """The body of an error under /v2: the protocol has room for a text alone, so it names the field
    too.
    """
    message = error.message
    if error.errors and (field := f"`{error.errors[0].field}`") not in message:
        message = f"{field}: {message}"
    return {"error": printable(f"{error.code}: {message}")}


def _problem(
    error: SlipwayError, context: RequestContext, path: str, headers: dict[str, str]
) -> Response:
    body = problem.describe(error, context.request_id, context.prefix + path)
    return Response(orjson.dumps(body), error.http_status, headers, problem.MEDIA_TYPE)


def _from_validation(error: RequestValidationError) -> SlipwayError:
    found = tuple(
        FieldError(".".join(str(part) for part in one["loc"][1:]) or "body", str(one["msg"]))
        for one in error.errors()
    )
    first = found[0]
    return errors.InvalidInput(f"`{first.field}`: {first.message}", errors=found)
