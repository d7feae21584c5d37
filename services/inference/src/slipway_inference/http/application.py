"""The outermost ASGI layer: what happens before and after the route of every request.

It opens the request's context, bounds its headers, strips /models/<name> from its path, dispatches
it, renders errors, adds headers, counts it and writes its log line. It never reads bodies.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from slipway_core.errors import Draining, HeadersTooLarge, MalformedBody, SlipwayError
from slipway_core.observability.request_lines import bind_request, write_request_line
from slipway_inference.http.body_memory import BodyMemory
from slipway_inference.http.context import (
    CLIENT_DISCONNECTED,
    RequestContext,
    context_of,
    open_context,
    split_model,
)
from slipway_inference.http.errors import ErrorContext, ErrorForm, render_error, translate
from slipway_inference.http.metrics import UNCOUNTED_PATHS, count_request
from slipway_inference.http.origins import Origins
from slipway_inference.http.problems import PROBLEMS
from slipway_inference.http.response_headers import CLOSE, NO_SNIFF, request_id_header
from slipway_inference.http.routing import LeanRoute, RouteTable
from slipway_inference.settings import InferenceSettings

log = structlog.get_logger("slipway.access")

DISCONNECTED_STATUS = 499
"""Logged and counted for a client that left; never sent."""
MAX_LOGGED_PATH_CHARACTERS = 256
ErrorForms = Mapping[str, ErrorForm]
"""Forms of errors by the first segment of the path; other paths answer with problems."""


class Application:
    """Wraps an API. `check_model` raises UnknownModel for the name of a model that is not served;
    `is_draining` tells whether clients should connect elsewhere.
    """

    def __init__(
        self,
        api: FastAPI,
        settings: InferenceSettings,
        error_forms: ErrorForms,
        memory: BodyMemory,
        *,
        check_model: Callable[[str], None],
        is_draining: Callable[[], bool],
    ) -> None:
        self._api = api
        self._routes = RouteTable(api)
        self._settings = settings
        self._origins = Origins(settings)
        self._error_forms = error_forms
        self._memory = memory
        self._check_model = check_model
        self._is_draining = is_draining
        for kind in (SlipwayError, HTTPException, RequestValidationError, Exception):
            api.add_exception_handler(kind, self._respond_to_error)
        api.add_exception_handler(ClientDisconnect, _respond_to_nobody)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._api(scope, receive, send)
            return
        context = open_context(scope, self._settings.root_path, self._memory)
        bind_request(context.log_fields)
        status = 0
        route: LeanRoute | None = None

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *self._headers(context)]
            await send(message)

        try:
            self._admit(scope, context)
            route = self._routes.find(scope)
            await self._routes.handler(scope, route)(scope, receive, send_with_headers)
        except ClientDisconnect:
            context.code = CLIENT_DISCONNECTED
            status = status or DISCONNECTED_STATUS
        except asyncio.CancelledError:
            if status or not self._is_draining():
                raise
            # uvicorn cancels what it cannot wait for any longer, and would answer 500.
            await self._error_response(scope, Draining())(scope, receive, send_with_headers)
        except Exception as error:
            if not isinstance(error, SlipwayError):
                fields = context.log_fields
                log.error("unhandled error", code="InternalError", exc_info=error, **fields)
            response = self._error_response(scope, error)
            if not status:
                await response(scope, receive, send_with_headers)
            # Otherwise the response has begun: uvicorn closes the connection of one that is not
            # complete, so that no client takes it for complete.
        finally:
            self._close(scope, context, status, route)

    def _admit(self, scope: Scope, context: RequestContext) -> None:
        """Check the headers' size and the request's origin, and enter the model that the path
        names. Raises HeadersTooLarge, MalformedBody, HostNotAllowed, OriginNotAllowed and
        UnknownModel.
        """
        size = len(scope["raw_path"]) + len(scope["query_string"])
        hosts = 0
        for name, value in scope["headers"]:
            size += len(name) + len(value)
            hosts += name == b"host"
        if size > self._settings.max_header_bytes:
            raise HeadersTooLarge(
                f"the request line and headers have {size} bytes; "
                f"at most {self._settings.max_header_bytes} are read"
            )
        if hosts > 1 or (not hosts and scope["http_version"] == "1.1"):
            raise MalformedBody("a request has one Host header (RFC 9112 3.2)")
        self._origins.check(context)
        name, path = split_model(scope["path"])
        if name:
            self._check_model(name)
            context.prefix += f"/models/{name}"
            scope["path"] = path
            scope["raw_path"] = path.encode()

    def _headers(self, context: RequestContext) -> list[tuple[bytes, bytes]]:
        """Return the headers that every response has."""
        headers = [request_id_header(context.request_id), NO_SNIFF]
        if self._is_draining():
            headers.append(CLOSE)
        return headers

    async def _respond_to_error(self, request: Request, error: Exception) -> Response:
        return self._error_response(request.scope, error)

    def _error_response(self, scope: Scope, error: Exception) -> Response:
        """Render an error in the form of its path's protocol, and note its code in the context."""
        known = translate(error)
        context = context_of(scope)
        context.code = known.code
        segment = split_model(scope["path"])[1].removeprefix("/").partition("/")[0]
        form = self._error_forms.get(segment, PROBLEMS)
        shown = ErrorContext(context.request_id, context.prefix + scope["path"])
        response = render_error(known, form, shown)
        if response.status_code == 405:
            response.headers["Allow"] = ", ".join(sorted(self._routes.allowed_methods(scope)))
        return response

    def _close(
        self, scope: Scope, context: RequestContext, status: int, route: LeanRoute | None
    ) -> None:
        """Release the request's memory, count a lean route's request, as FastAPI's are counted by
        middleware, and log it.
        """
        context.memory.release()
        if route is not None and route.path not in UNCOUNTED_PATHS:
            count_request(route.path, scope["method"], status, context.elapsed_seconds)
        level = self._log_level(scope["path"], status)
        if level is None:
            return
        line = {
            "method": scope["method"],
            "path": (context.prefix + scope["path"])[:MAX_LOGGED_PATH_CHARACTERS],
            "status": status,
            "milliseconds": round(context.elapsed_seconds * 1000, 2),
            "client": (scope.get("client") or ("",))[0],
        }
        if context.code:
            line["code"] = context.code
        write_request_line(level, "slipway.access", "request", {**line, **context.log_fields})

    def _log_level(self, path: str, status: int) -> int | None:
        """Return the level of a request's log line, or None for no line: server errors are always
        logged, other requests as `access_log` says.
        """
        if status >= 500 and path not in UNCOUNTED_PATHS:
            return logging.ERROR
        if not self._settings.access_log:
            return None
        return logging.DEBUG if path in UNCOUNTED_PATHS else logging.INFO


async def _respond_to_nobody(request: Request, error: Exception) -> Response:
    """Let a request whose client has gone end in order, and be counted as 4xx; nothing is sent."""
    return Response(status_code=DISCONNECTED_STATUS)
