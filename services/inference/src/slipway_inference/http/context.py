"""The context of a request: its id, prefix, headers, times and how it ended."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.types import Scope

from slipway_core.errors import QueueFull
from slipway_core.observability.request_lines import request_fields
from slipway_inference.http.body_memory import BodyAccount, BodyMemory

CLIENT_DISCONNECTED = "ClientDisconnected"
"""The code of a request whose client went away before it was answered."""
MAX_PREFIX_CHARACTERS = 512
_VALID_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_VALID_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+){1,16}")
_MODEL_PATH = re.compile(r"/models/([^/]+)(/.*)?")
_SCOPE_KEY = "slipway.request"
_BODY_KEY = "slipway.body_received"
_DISCONNECTED_EARLY = object()
"""Stands in the scope for the context of a request whose client left before it was opened."""


class RequestContext(msgspec.Struct, eq=False):
    """Per-request state. It travels in the ASGI scope."""

    request_id: str
    prefix: str
    """What precedes our paths as the client sees them: a proxy's prefix and /models/<name>."""
    started: float
    """`time.perf_counter()` at the moment when the headers were complete."""
    headers: dict[bytes, bytes]
    """Headers by lower-case name. Of a repeated header, the last one."""
    log_fields: dict[str, str]
    """The fields that identify this request in log lines."""
    memory: BodyAccount
    """What the request has reserved. It is released when the request has ended, since its inputs
    wait in the queue after its body has been read.
    """
    code: str = ""
    """The code of the error that the request ended in; empty for success."""
    is_head: bool = False
    """Whether the response has no body."""
    disconnected: bool = False
    on_disconnect: Callable[[], object] | None = None
    """Called when the client goes away while the request is in progress."""

    @property
    def elapsed_seconds(self) -> float:
        return time.perf_counter() - self.started

    def header(self, name: str) -> str | None:
        """Return a header's value, or None when the request has no such header."""
        return _decode(self.headers.get(name.lower().encode()))

    def path(self, path: str, **query: Any) -> str:
        """Return a path of ours as this client has to request it, with the query values that are
        not None.
        """
        present = {name: value for name, value in query.items() if value is not None}
        return f"{self.prefix}{path}" + (f"?{urlencode(present)}" if present else "")


def open_context(scope: Scope, root_path: str, memory: BodyMemory) -> RequestContext:
    """Create the context of a new request and keep it in its scope. What it reserves of `memory` is
    to be released when it ends.

    The client's X-Request-ID is used where it is valid; otherwise the request gets a new one.
    """
    headers = dict(scope["headers"])
    request_id = _read_request_id(headers.get(b"x-request-id"))
    context = RequestContext(
        request_id=request_id,
        prefix=_read_prefix(headers.get(b"x-forwarded-prefix")) + root_path,
        started=time.perf_counter(),
        headers=headers,
        log_fields=request_fields(request_id, _decode(headers.get(b"traceparent"))),
        memory=memory.account(),
        is_head=scope["method"] == "HEAD",
        disconnected=scope.get(_SCOPE_KEY) is _DISCONNECTED_EARLY,
    )
    scope[_SCOPE_KEY] = context
    return context


def context_of(scope: Scope) -> RequestContext:
    """Return the context that `open_context` put into this scope."""
    context: RequestContext = scope[_SCOPE_KEY]
    return context


def split_model(path: str) -> tuple[str, str]:
    """Split `/models/<name>/rest` into the model's name and `/rest`; other paths have no name."""
    matched = _MODEL_PATH.fullmatch(path)
    return (matched[1], matched[2] or "/") if matched else ("", path)


def mark_disconnected(scope: Scope) -> None:
    """Record that the client of this request has gone away, and stop the work for it."""
    context = scope.setdefault(_SCOPE_KEY, _DISCONNECTED_EARLY)
    if isinstance(context, RequestContext):
        context.disconnected = True
        if context.on_disconnect is not None:
            context.on_disconnect()


def mark_body_received(scope: Scope) -> None:
    """Record that the complete body of this request has been received."""
    scope[_BODY_KEY] = True


def is_body_received(scope: Scope) -> bool:
    """Return whether the complete body has been received, so that reading it cannot wait."""
    return _BODY_KEY in scope


def was_rejected_for_load(scope: Mapping[str, object]) -> bool:
    """Return whether this request was answered with QueueFull."""
    context = scope.get(_SCOPE_KEY)
    return isinstance(context, RequestContext) and context.code == QueueFull.__name__


def _decode(header: bytes | None) -> str | None:
    return None if header is None else header.decode("latin-1")


def _read_request_id(header: bytes | None) -> str:
    if header and _VALID_REQUEST_ID.fullmatch(header):
        return header.decode()
    return os.urandom(16).hex()


def _read_prefix(header: bytes | None) -> str:
    """Return a proxy's prefix without its trailing slash; ignore what is not a plain path."""
    if not header:
        return ""
    prefix = header.decode("latin-1").rstrip("/")
    valid = len(prefix) <= MAX_PREFIX_CHARACTERS and _VALID_PREFIX.fullmatch(prefix)
    return prefix if valid else ""
