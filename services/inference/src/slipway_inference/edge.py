"""The outermost ASGI layer: what every request gets before and after its route.

It gives the request its id, finds the model's name in the path, bounds the headers, adds the
security headers, closes connections while the server drains, writes the access line, and answers
whatever nobody else caught. It never reads bodies.

Routes at fixed paths, the predictions among them, are called from here: what FastAPI does for each
request costs as much as all of the rest.
"""

from __future__ import annotations

import logging
import re

import structlog
from fastapi import FastAPI
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slipway_core.errors import HeadersTooLarge, SlipwayError, UnknownModel
from slipway_core.logging import bind_request, write_request_line
from slipway_inference.http_metrics import QUIET_PATHS, count_request
from slipway_inference.lean_route import direct_routes
from slipway_inference.problem import render_problem
from slipway_inference.request_context import CLIENT_DISCONNECTED, RequestContext, open_context
from slipway_inference.service import Service
from slipway_inference.settings import InferenceSettings

log = structlog.get_logger("slipway.access")

CLIENT_GONE_STATUS = 499  # counted and logged, never sent: nobody is there to read it
_MODEL_PATH = re.compile(r"/models/([^/]+)(/.*)?")
_LONGEST_LOGGED_PATH = 256


class Edge:
    """Wraps the application; `service` says which model is served and whether it drains."""

    def __init__(self, app: FastAPI, settings: InferenceSettings, service: Service) -> None:
        self._app = app
        self._direct = direct_routes(app.routes)
        self._settings = settings
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = open_context(scope, self._settings.root_path)
        bind_request(context.request_id, context.header(b"traceparent"))
        status = 0
        route: ASGIApp | None = None

        async def send_decorated(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *self._headers(context)]
            await send(message)

        try:
            self._check_headers(scope)
            self._enter_model(scope, context)
            route = self._direct.get((scope["method"], scope["path"]))
            if route is None:
                await self._app(scope, receive, send_decorated)
            else:
                scope["app"] = self._app
                await route(scope, receive, send_decorated)
        except ClientDisconnect:
            context.code = CLIENT_DISCONNECTED
            status = status or CLIENT_GONE_STATUS
        except Exception as error:
            if not isinstance(error, SlipwayError):
                log.exception("unhandled error", code="InternalError")
            if not status:
                await render_problem(scope, error)(scope, receive, send_decorated)
            # Otherwise the answer has begun or been given. When it is not whole, uvicorn closes the
            # connection, so that nobody takes it for a whole one.
        finally:
            if route is not None and scope["path"] not in QUIET_PATHS:
                count_request(scope["path"], scope["method"], status, context.elapsed_seconds)
            self._write_access_line(scope, context, status)

    def _headers(self, context: RequestContext) -> list[tuple[bytes, bytes]]:
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
        matched = _MODEL_PATH.fullmatch(scope["path"])
        if matched is None:
            return
        name, rest = matched[1], matched[2] or "/"
        served = self._service.model_name
        if served and name != served:
            raise UnknownModel(f"no model '{name[:64]}' is served here; this server has '{served}'")
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
        write_request_line(level, "slipway.access", "request", line)

    def _line_level(self, path: str, status: int) -> int | None:
        """How this line is written: server errors always, the rest as `access_log` says."""
        if status >= 500 and path not in QUIET_PATHS:
            return logging.ERROR
        if not self._settings.access_log:
            return None
        return logging.DEBUG if path in QUIET_PATHS else logging.INFO
