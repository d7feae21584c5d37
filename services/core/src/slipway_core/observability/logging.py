"""Logging configuration: one JSON object per line on standard error, for every logger.

A line has `timestamp`, `level`, `logger` and `event`, the fields of the caller, and those of the
request that `bind_request` put into the context. Errors carry their `code`.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from slipway_core.observability.json_lines import encode_line, write_line
from slipway_core.observability.request_lines import bound_request, flush_request_lines

# Each request and each call of these is already covered by a line of Slipway.
_VERBOSE_LOGGERS = (
    "httpx", "httpx2", "httpcore", "httpcore2", "asyncio", "botocore", "urllib3", "arq.jobs",
)  # fmt: skip


def configure_logging(level: str) -> None:
    """Log everything of at least `level` (debug, info, warning, error) as JSON.

    Call it before anything is logged.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        _add_request,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[_add_logger_name, *shared, _render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=_LineWriter,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _render],
        )
    )
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(threshold)
    for name in _VERBOSE_LOGGERS:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.captureWarnings(True)


def _add_request(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    return {**bound_request(), **event}


def _add_logger_name(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    name = getattr(logger, "name", None)
    if name:
        event.setdefault("logger", name)
    return event


def _render(logger: WrappedLogger, method: str, event: EventDict) -> str:
    return encode_line(
        {"timestamp": event.pop("timestamp", None), "level": event.pop("level", None), **event}
    )


class _LineWriter:
    """The logger behind structlog, named by `structlog.get_logger("slipway.<area>")`."""

    def __init__(self, name: str = "slipway", *_: Any) -> None:
        self.name = name

    def msg(self, line: str) -> None:
        flush_request_lines()
        write_line(line)

    log = debug = info = warn = warning = error = critical = fatal = exception = err = failure = msg
