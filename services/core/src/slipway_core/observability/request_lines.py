"""Request fields of log lines, and the access line that each request has.

Access lines wait up to REQUEST_LINE_SECONDS and are written together: each write wakes the reader
of the log, on a core where a model computes. Any other log line is written after the access lines
that came before it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from slipway_core.observability.json_lines import encode_line, write_line

REQUEST_LINE_SECONDS = 0.05
"""Longest wait of an access line before it is written, in seconds."""

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_NO_TRACE = "0" * 32
_MAX_ATOMIC_BYTES = 4096  # PIPE_BUF: a longer write to a pipe may be interleaved with others

_request: ContextVar[Mapping[str, str]] = ContextVar(
    "slipway_request", default=MappingProxyType({})
)


def request_fields(request_id: str, traceparent: str | None = None) -> dict[str, str]:
    """Return the log fields of a request: its id and, with a traceparent header, its trace id."""
    trace_id = read_trace_id(traceparent)
    return (
        {"request_id": request_id, "trace_id": trace_id} if trace_id else {"request_id": request_id}
    )


def read_trace_id(traceparent: str | None) -> str | None:
    """Return the trace id of a W3C traceparent header; None when it is missing or malformed."""
    matched = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    return None if matched is None or matched[1] == _NO_TRACE else matched[1]


def bind_request(fields: Mapping[str, str]) -> None:
    """Add the fields of a request to every log line of the current context."""
    _request.set(fields)


def bound_request() -> Mapping[str, str]:
    """Return the fields that `bind_request` added to the current context."""
    return _request.get()


def write_request_line(level: int, logger: str, event: str, fields: dict[str, Any]) -> None:
    """Log the line of a request, in a tenth of the time that a logger takes.

    level: a level of the standard library's `logging`. fields: include those of `request_fields`.
    """
    if level < logging.root.level:
        return
    now = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    line = {"timestamp": f"{now}Z", "level": logging.getLevelName(level).lower(), "event": event}
    _buffer.add({**line, **fields, "logger": logger})


def flush_request_lines() -> None:
    """Write the access lines that wait. Required at exit, after the event loop has ended."""
    _buffer.flush()


class _Buffer:
    """Access lines that wait to be written together."""

    def __init__(self) -> None:
        self._lines: deque[dict[str, Any]] = deque()
        self._writing = threading.Lock()
        self._flush_at = 0.0

    def add(self, line: dict[str, Any]) -> None:
        self._lines.append(line)
        now = time.monotonic()
        if now >= self._flush_at:
            self._flush_at = now + REQUEST_LINE_SECONDS
            asyncio.get_running_loop().call_later(REQUEST_LINE_SECONDS, self.flush)

    def flush(self) -> None:
        """Write all lines in as few atomic writes as possible; safe to call from any thread."""
        with self._writing:
            batch: list[str] = []
            size = 0
            while self._lines:
                encoded = encode_line(self._lines.popleft())
                length = len(encoded.encode()) + 1
                if batch and size + length > _MAX_ATOMIC_BYTES:
                    write_line("\n".join(batch))
                    batch, size = [], 0
                batch.append(encoded)
                size += length
            if batch:
                write_line("\n".join(batch))


_buffer = _Buffer()
