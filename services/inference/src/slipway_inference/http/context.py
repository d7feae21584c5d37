"""What is known of a request apart from its content: who asked, under which prefix, since when."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping

import msgspec
from starlette.types import Scope

from slipway_core.errors import QueueFull
from slipway_core.observability.request_lines import request_fields

_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+){1,16}")
_LONGEST_PREFIX = 512
_MODEL_PATH = re.compile(r"/models/([^/]+)(/.*)?")
CLIENT_DISCONNECTED = "ClientDisconnected"
_KEY = "slipway.request"
_GONE = object()  # in the place of a context: the client went before there was one


class RequestContext(msgspec.Struct, eq=False):
    """Travels in the ASGI scope; `code` is set when the request ends in an error."""

    request_id: str
    prefix: str
    """Path before our own routes as the client sees it: a proxy's prefix and /models/<name>."""
    started: float
    """`time.perf_counter()` when the headers had arrived."""
    headers: dict[bytes, bytes]
    """By their names in lower case; of one that came several times, the last."""
    code: str = ""
    disconnected: bool = False
    on_disconnect: Callable[[], object] | None = None
    """Called when the client goes away before it was answered."""

    @property
    def elapsed_seconds(self) -> float:
        return time.perf_counter() - self.started

    @property
    def log_fields(self) -> dict[str, str]:
        """What this request's log lines say of it."""
        return request_fields(self.request_id, self.header(b"traceparent"))

    def header(self, name: bytes) -> str | None:
        """A header's value; None when it did not come."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")


def open_context(scope: Scope, root_path: str) -> RequestContext:
    """Keep in the scope: the caller's X-Request-ID (or a new one) and X-Forwarded-Prefix."""
    headers = dict(scope["headers"])
    given_id = headers.get(b"x-request-id", b"")
    context = RequestContext(
        request_id=given_id.decode() if _REQUEST_ID.fullmatch(given_id) else os.urandom(16).hex(),
        prefix=_read_prefix(headers.get(b"x-forwarded-prefix")) + root_path,
        started=time.perf_counter(),
        headers=headers,
        disconnected=scope.get(_KEY) is _GONE,
    )
    scope[_KEY] = context
    return context


def context_of(scope: Scope) -> RequestContext:
    """The context that `open_context` put into this request's scope."""
    context: RequestContext = scope[_KEY]
    return context


def split_model(path: str) -> tuple[str, str]:
    """The model's name, when the path begins with /models/<name>, and the rest of the path."""
    matched = _MODEL_PATH.fullmatch(path)
    return (matched[1], matched[2] or "/") if matched else ("", path)


def tell_disconnected(scope: Scope) -> None:
    """The client of this request has gone away, and nobody waits for the answer."""
    context = scope.setdefault(_KEY, _GONE)
    if isinstance(context, RequestContext):
        context.disconnected = True
        if context.on_disconnect is not None:
            context.on_disconnect()


def was_refused(scope: Mapping[str, object]) -> bool:
    """Whether this request was told to come back later, because there is too much to do."""
    context = scope.get(_KEY)
    return isinstance(context, RequestContext) and context.code == QueueFull.__name__


def _read_prefix(header: bytes | None) -> str:
    """A proxy's prefix without a slash at its end; anything that is not a plain path is ignored."""
    if not header:
        return ""
    prefix = header.decode("latin-1").rstrip("/")
    return prefix if len(prefix) <= _LONGEST_PREFIX and _PREFIX.fullmatch(prefix) else ""
