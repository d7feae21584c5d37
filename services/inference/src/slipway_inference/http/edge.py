"""The outermost ASGI layer: what every request gets before and after its route.

It gives the request its id, finds the model's name in the path, bounds the headers, adds the
security headers, closes connections while the server drains, writes the access line, and answers
whatever nobody else caught. It never reads bodies.

Lean routes are called from here: what FastAPI does for each request costs as much as all of the
rest. Predictions that no task answers (see `direct`) get the same from the same methods.
"""

from __future__ import annotations

import asyncio
import logging

import structlog
from fastapi import FastAPI
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from slipway_core.errors import Draining, HeadersTooLarge, SlipwayError
from slipway_core.observability.request_lines import bind_request, write_request_line
from slipway_inference.http.context import (
    CLIENT_DISCONNECTED,
    RequestContext,
    context_of,
    open_context,
    split_model,
)
from slipway_inference.http.error_answers import render_error
from slipway_inference.http.lean_route import LeanRoute, LeanRoutes
from slipway_inference.http.metrics import QUIET_PATHS, count_request
from slipway_inference.serving.service import Service
from slipway_inference.settings import InferenceSettings

log = structlog.get_logger("slipway.access")

CLIENT_GONE_STATUS = 499  # counted and logged, never sent: nobody is there to read it
_LONGEST_LOGGED_PATH = 256


class Edge:
    """Wraps the application; `service` says which model is served and whether it drains."""

    def __init__(self, app: FastAPI, settings: InferenceSettings, service: Service) -> None:
        self._app = app
        self._lean = LeanRoutes(app.routes)
        self._settings = settings
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = self.open(scope)
        bind_request(context.log_fields)
        status = 0
        route: LeanRoute | None = None

        async def send_decorated(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *self.headers(context)]
            await send(message)

        try:
            self.admit(scope, context)
            route = self._lean.find(scope)
            if route is None:
                await self._app(scope, receive, send_decorated)
            else:
                scope["app"] = self._app
                await route.app(scope, receive, send_decorated)
        except ClientDisconnect:
            context.code = CLIENT_DISCONNECTED
            status = status or CLIENT_GONE_STATUS
        except asyncio.CancelledError:
            if status or not self._service.draining:
                raise
            # uvicorn ends what it cannot wait for any longer, and would answer 500.
            await self.problem(scope, Draining())(scope, receive, send_decorated)
        except Exception as error:
            problem = self.problem(scope, error)
            if not status:
                await problem(scope, receive, send_decorated)
            # Otherwise the answer has begun or been given. When it is not whole, uvicorn closes the
            # connection, so that nobody takes it for a whole one.
        finally:
            self.close(scope, context, status, handler=route.path if route else None)

    def open(self, scope: Scope) -> RequestContext:
        """The context of a request that has just come."""
        return open_context(scope, self._settings.root_path)

    def admit(self, scope: Scope, context: RequestContext) -> None:
        """Bound the headers, and strip the model's name from the path. Raises HeadersTooLarge and
        UnknownModel.
        """
        self._check_headers(scope)
        self._enter_model(scope, context)

    def problem(self, scope: Scope, error: Exception) -> Response:
        """The answer to an error, which is logged when it should not have come this far."""
        if not isinstance(error, SlipwayError):
            log.error(
                "unhandled error",
                code="InternalError",
                exc_info=error,
                **context_of(scope).log_fields,
            )
        return render_error(scope, error)

    def close(
        self, scope: Scope, context: RequestContext, status: int, *, handler: str | None
    ) -> None:
        """Write the request's line, and count it by the template of its route: None when FastAPI
        has counted it, or when it was refused before it had a route.
        """
        if handler and handler not in QUIET_PATHS:
            count_request(handler, scope["method"], status, context.elapsed_seconds)
        self._write_access_line(scope, context, status)

    def headers(self, context: RequestContext) -> list[tuple[bytes, bytes]]:
        """Those of every answer."""
        headers = [
            (b"x-request-id", context.request_id.encode()),
            (b"x-content-type-options", b"nosniff"),
        ]
        if self._service.draining:
            headers.append((b"connection", b"close"))
        return headers

    def _check_headers(self, scope: Scope) -> None:
        size = len(scope["raw_path"]) + len(scope["query_string"])
        for name, value in scope["headers"]:
            size += len(name) + len(value)
        if size > self._settings.max_header_bytes:
            raise HeadersTooLarge(
                f"the request line and headers have {size} bytes; "
                f"at most {self._settings.max_header_bytes} are read"
            )

    def _enter_model(self, scope: Scope, context: RequestContext) -> None:
        """Strip /models/<name> from the path: one host can carry many models."""
        name, rest = split_model(scope["path"])
        if not name:
            return
        self._service.check_model(name)
        context.prefix += f"/models/{name}"
        scope["path"] = rest
        scope["raw_path"] = rest.encode()

    def _write_access_line(self, scope: Scope, context: RequestContext, status: int) -> None:
        level = self._line_level(scope["path"], status)
        if level is None:
            return
        line = {
            "method": scope["method"],
            "path": (context.prefix + scope["path"])[:_LONGEST_LOGGED_PATH],
            "status": status,
            "milliseconds": round(context.elapsed_seconds * 1000, 2),
            "client": (scope.get("client") or ("",))[0],
        }
        if context.code:
            line["code"] = context.code
        write_request_line(level, "slipway.access", "request", {**line, **context.log_fields})

    def _line_level(self, path: str, status: int) -> int | None:
        """How this line is written: server errors always, the rest as `access_log` says."""
        if status >= 500 and path not in QUIET_PATHS:
            return logging.ERROR
        if not self._settings.access_log:
            return None
        return logging.DEBUG if path in QUIET_PATHS else logging.INFO
