"""Log events as lines of JSON on standard error."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from slipway_core.observability.redaction import redact_passwords


def encode_line(event: Mapping[str, Any]) -> str:
    """Return the event as one line of JSON, with passwords in URLs hidden."""
    try:
        line = msgspec.json.encode(event, enc_hook=repr).decode()
    except (UnicodeEncodeError, TypeError, ValueError, RecursionError):
        # Logging must never fail: values that JSON cannot hold are written as Python shows them.
        line = json.dumps({str(k): v if isinstance(v, str) else repr(v) for k, v in event.items()})
    return redact_passwords(line)


def write_line(line: str) -> None:
    """Write a line to standard error; an error of the stream is ignored.

    The reader of the log may be gone, and its end is often the event that is logged: a service
    that failed to log "draining" would never drain.
    """
    with contextlib.suppress(OSError, ValueError):
        # A single write, so that lines of several processes on one pipe do not mix.
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
