"""Logs: one JSON object per line on standard error, Slipway's own lines and every library's.

A line has `timestamp`, `level`, `logger`, `event`, whatever the caller adds, and what
`bind_request` put into the context: `request_id` and, for a caller that sent a traceparent,
`trace_id`. Errors carry their `code`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_PASSWORD_IN_URL = re.compile(r"(://[^/\s:@\"]*:)[^@/\s\"]+@")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_NO_TRACE = "0" * 32
# These say once per request or once per call what Slipway's own lines already say.
_CHATTY = ("httpx", "httpx2", "httpcore", "httpcore2", "asyncio", "botocore", "urllib3", "arq.jobs")


# What this context's lines say of the request they belong to.
_request: ContextVar[Mapping[str, str]] = ContextVar(
    "slipway_request", default=MappingProxyType({})
)
_threshold = logging.INFO
_WHOLE_BYTES = 4096  # PIPE_BUF: what one write puts into a pipe in one piece
REQUEST_LINE_SECONDS = 0.05
"""For how long a request's line may wait for others. Each write wakes whoever reads the log, on a
core where a model computes.
"""


def configure_logging(level: str) -> None:
    """Write lines of at least `level` (debug, info, warning, error) as JSON; call it first."""
    global _threshold
    threshold = _threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        _add_request,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[_name_as_logger, *shared, render_json],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=_LineWriter,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render_json],
        )
    )
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(threshold)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.captureWarnings(True)


def request_fields(request_id: str, traceparent: str | None = None) -> dict[str, str]:
    """What a request's lines say of it: its id, and the trace id of a W3C traceparent."""
    trace_id = read_trace_id(traceparent)
    return (
        {"request_id": request_id, "trace_id": trace_id} if trace_id else {"request_id": request_id}
    )


def bind_request(fields: Mapping[str, str]) -> None:
    """Add a request's fields to all lines of this context."""
    _request.set(fields)


def write_request_line(level: int, logger: str, event: str, fields: dict[str, Any]) -> None:
    """A line as a logger writes it, in a tenth of the time: for the one that every request has, and
    whose `fields` include those of `request_fields`. It is written within REQUEST_LINE_SECONDS,
    together with others, and before any other line that comes after it.

    level: of the standard library's `logging`.
    """
    if level < _threshold:
        return
    now = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    line = {"timestamp": f"{now}Z", "level": logging.getLevelName(level).lower(), "event": event}
    _request_lines.add({**line, **fields, "logger": logger})


class _RequestLines:
    """Lines that wait to be written together."""

    def __init__(self) -> None:
        self._waiting: deque[dict[str, Any]] = deque()
        self._writing = threading.Lock()
        self._due = 0.0

    def add(self, line: dict[str, Any]) -> None:
        self._waiting.append(line)
        now = time.monotonic()
        if now >= self._due:
            self._due = now + REQUEST_LINE_SECONDS
            asyncio.get_running_loop().call_later(REQUEST_LINE_SECONDS, self.write)

    def write(self) -> None:
        """Write all of them; any thread may ask for it."""
        with self._writing:
            together: list[str] = []
            size = 0
            while self._waiting:
                encoded = _encode(self._waiting.popleft())
                length = len(encoded.encode()) + 1
                if together and size + length > _WHOLE_BYTES:
                    _write_line("\n".join(together))
                    together, size = [], 0
                together.append(encoded)
                size += length
            if together:
                _write_line("\n".join(together))


_request_lines = _RequestLines()


def flush_request_lines() -> None:
    """Write those that wait: the event loop that would do it has ended."""
    _request_lines.write()


def read_trace_id(traceparent: str | None) -> str | None:
    """The trace id of a traceparent header; None when there is none or it is not one."""
    matched = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    return None if matched is None or matched[1] == _NO_TRACE else matched[1]


def render_json(logger: WrappedLogger, method: str, event: EventDict) -> str:
    """The last processor: the event as one line of JSON, with passwords inside URLs hidden."""
    event = {"timestamp": event.pop("timestamp", None), "level": event.pop("level", None), **event}
    return _encode(event)


def _encode(event: EventDict) -> str:
    try:
        line = msgspec.json.encode(event, enc_hook=repr).decode()
    except (UnicodeEncodeError, TypeError, ValueError, RecursionError):
        # A line must never be the reason of a failure: odd values are shown as Python shows them.
        line = json.dumps({str(k): v if isinstance(v, str) else repr(v) for k, v in event.items()})
    return _PASSWORD_IN_URL.sub(r"\1***@", line) if "://" in line else line


def _add_request(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    return {**_request.get(), **event}


def _name_as_logger(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    name = getattr(logger, "name", None)
    if name:
        event.setdefault("logger", name)
    return event


class _LineWriter:
    """What structlog writes rendered lines to, named by `structlog.get_logger("slipway.x")`."""

    def __init__(self, name: str = "slipway", *_: Any) -> None:
        self.name = name

    def msg(self, line: str) -> None:
        _request_lines.write()
        _write_line(line)

    log = debug = info = warn = warning = error = critical = fatal = exception = err = failure = msg


def _write_line(line: str) -> None:
    # Whoever read the log may be gone, and its end is often what is being logged: a service that
    # could not say "draining" would never drain.
    with contextlib.suppress(OSError, ValueError):
        # One write for the whole line: lines of several processes on one pipe stay whole.
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
