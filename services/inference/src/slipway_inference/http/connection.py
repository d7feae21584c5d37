"""HTTP/1.1 connections with limits that uvicorn does not have: their number, the size of what is
not a body and the time for headers, and the rate at which clients that come back after a 429 are
read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, ClassVar, cast
from uuid import uuid4

import httptools
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from slipway_core.errors import HeadersTooLarge, MalformedBody, SlipwayError, TooManyStreams
from slipway_inference.http.context import (
    mark_body_received,
    mark_disconnected,
    was_rejected_for_load,
)
from slipway_inference.http.errors import ErrorContext, render_error
from slipway_inference.http.pacing import Pacer
from slipway_inference.http.problems import PROBLEMS
from slipway_inference.http.response_headers import CLOSE, NO_SNIFF, request_id_header
from slipway_inference.http.transport import BatchingTransport, PipelineFlowControl
from slipway_inference.settings import InferenceSettings

LINGER_SECONDS = 2.0
"""How long the rest of a rejected request is read and discarded."""
FIRST_REQUEST_SECONDS = 1.0
"""How long a server that shuts down waits for the first request of a connection it has accepted."""
REJECTED_READS_PER_SECOND = 500.0
"""Rejecting costs time in which accepted requests are answered, so clients that ignore Retry-After
must not take all of it.
"""
CHUNK_FRAMING_BYTES = 16
"""What a chunk may take beside its data: its length, line breaks, and little else."""
FRAMING_HEADERS = (b"content-length", b"transfer-encoding")


def bounded_protocol(settings: InferenceSettings) -> type[HttpToolsProtocol]:
    """Return the protocol class for uvicorn's `http` option."""

    class BoundedProtocol(_BoundedProtocol):
        limits = settings
        pacer = Pacer(REJECTED_READS_PER_SECOND)
        idle: ClassVar = {}

    return BoundedProtocol


class _BoundedProtocol(HttpToolsProtocol):
    limits: InferenceSettings
    pacer: Pacer
    idle: ClassVar[dict[_BoundedProtocol, None]]
    """Connections without a request in progress, those that have been so for longest first."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Per-connection state
        self._timer: asyncio.TimerHandle | None = None
        self._discards_input = False
        self._rejection: SlipwayError | None = None
        """The error that follows the responses to earlier requests."""
        self._unanswered: deque[RequestResponseCycle] = deque()
        """Requests in their order. The first one is in progress; uvicorn's `cycle` is the last."""
        # Per-request state
        self._header_bytes = 0
        self._reads_headers = True
        self._resumes_message = False
        """Whether the parser reads a head again whose request has begun."""
        self._unread_bytes = 0
        """Bytes of a chunked body that are no data: extensions of chunks, trailers."""
        # Per-packet state
        self._begun_requests = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._batching = BatchingTransport(transport, self.limits.body_idle_seconds)
        super().connection_made(self._batching)
        self.flow = PipelineFlowControl(self._batching, self.pipeline)
        if len(self.connections) > self.limits.max_connections and not self._close_idle():
            self._write_error(TooManyStreams("too many connections are open; try again soon"))
            self.transport.close()
            return
        self.idle[self] = None
        self._start_timer(self.limits.header_timeout_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self.idle.pop(self, None)
        self._stop_timer()
        self._batching.stop_watching()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        for cycle in self._unanswered:
            cycle.disconnected = True
            cycle.message_event.set()
            mark_disconnected(cast(Scope, cycle.scope))
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._batching.watch_reader()

    def eof_received(self) -> None:
        """Send what is held before the connection is closed: the client may still read."""
        self._batching.flush()

    def data_received(self, data: bytes) -> None:
        if self._discards_input or self.transport.is_closing():
            return
        self._begun_requests = 0
        begins_request = self._reads_headers or not self._unanswered
        body_bytes = 0 if begins_request else len(self.cycle.body)
        self._unset_keepalive_if_required()
        self._parse(data)
        if self._discards_input or self.transport.is_closing():
            return
        if not (begins_request or self._begun_requests):
            self._count_unread(len(data) - (len(self.cycle.body) - body_bytes))
        # An empty line between requests begins none, yet has ended uvicorn's keep-alive timeout.
        unwatched = not self._unanswered and self.timeout_keep_alive_task is None
        if (self._reads_headers or unwatched) and self._timer is None:
            self._start_timer(self.limits.header_timeout_seconds)
        if self._reads_headers and begins_request and self._begun_requests <= 1:
            # Otherwise the packet also holds other requests, or the end of a body.
            self._header_bytes += len(data)
            max_bytes = self.limits.max_header_bytes
            if self._header_bytes > max_bytes:
                self._reject(HeadersTooLarge(f"at most {max_bytes} bytes of headers are read"))

    def _count_unread(self, count: int) -> None:
        """Count bytes of a packet within a body that are not part of it; reject too many."""
        if self.cycle.response_complete:
            return  # they are discarded, and not for long
        self._unread_bytes = max(0, self._unread_bytes + count)
        max_bytes = self.limits.max_header_bytes
        if self._unread_bytes > max_bytes:
            self._reject(
                HeadersTooLarge(
                    f"at most {max_bytes} bytes of chunk extensions and trailers are read"
                )
            )

    def _close_idle(self) -> bool:
        """Close the connection that has been idle for longest, and return whether there is one."""
        for connection in self.idle:
            if not connection._batching.has_unsent():
                del self.idle[connection]
                connection.transport.close()
                return True
        return False

    def _parse(self, data: bytes) -> None:
        """Parse a packet as if no request had an Upgrade, which a server may ignore (RFC 9110
        7.8).
        """
        rest: bytes | memoryview = data
        try:
            while rest:
                rest = self._parse_until_upgrade(rest)
        except httptools.HttpParserError:
            self._reject(MalformedBody("the request is not valid HTTP/1.1"))

    def _parse_until_upgrade(self, data: bytes | memoryview) -> bytes | memoryview:
        """Return what follows the head of a request with an Upgrade, which goes on there.

        httptools has ended that request, and would read its body as another one. So the rest is
        left to a new parser, which has read what frames the body and nothing else (ADR 21).
        """
        try:
            self.parser.feed_data(data)
            return b""
        except httptools.HttpParserUpgrade as upgrade:
            (length,) = upgrade.args
        headers = self.scope["headers"]
        framing = [b"%b: %b\r\n" % each for each in headers if each[0] in FRAMING_HEADERS]
        version = self.parser.get_http_version().encode()
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._resumes_message = True
        self.parser.feed_data(b"POST / HTTP/%b\r\n%b\r\n" % (version, b"".join(framing)))
        self._resumes_message = False
        return memoryview(data)[length:]

    def on_message_begin(self) -> None:
        if self._resumes_message:
            return
        super().on_message_begin()
        self._reads_headers = True
        self._header_bytes = 0
        self._begun_requests += 1

    def on_headers_complete(self) -> None:
        if self._resumes_message:
            return
        self._reads_headers = False
        self._stop_timer()
        super().on_headers_complete()
        self._unanswered.append(self.cycle)
        self.headers = []  # of trailers, which must not become headers (RFC 9110 6.5.1)
        self._unread_bytes = 0
        self.idle.pop(self, None)

    def on_chunk_header(self) -> None:
        self._unread_bytes -= CHUNK_FRAMING_BYTES

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # see _parse_until_upgrade
        super().on_message_complete()
        if self._unanswered:
            newest = self._unanswered[-1]
            newest.waiting_for_100_continue = False  # the client need not be told to go on
            mark_body_received(cast(Scope, newest.scope))
        if self.flow.read_paused and not self.pipeline:
            # uvicorn stops reading at bodies above 64 KiB: the end of a connection would go
            # unnoticed.
            self.flow.resume_reading()

    def on_response_complete(self) -> None:
        answered = self._unanswered.popleft()
        if not self._unanswered:
            self.idle[self] = None
        super().on_response_complete()  # it may begin with the next request
        if self._rejection is not None:
            self._reject(self._rejection)
            return
        if answered.more_body:
            # Answered before its body was read, because it was rejected: read the rest, not long.
            self._start_timer(LINGER_SECONDS)
        elif was_rejected_for_load(answered.scope) and not self.transport.is_closing():
            self.flow.pause_reading()
            self.loop.call_later(self.pacer.seconds_to_turn(self.loop.time()), self._resume_reading)

    def shutdown(self) -> None:
        if self.cycle is None:  # just accepted: its first request may be on the way
            self._start_timer(FIRST_REQUEST_SECONDS)
        else:
            super().shutdown()

    def _resume_reading(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def _reject(self, error: SlipwayError) -> None:
        """Send an error and close, without a request that the application could answer. Complete
        requests before it are answered first.

        A client that is still sending would lose the response if the connection were closed at
        once, so for a moment its input is discarded.
        """
        self._discards_input = True
        if self._unanswered and not self._unanswered[-1].more_body:
            self._rejection = error
            return
        if self.transport.is_closing():
            return
        self._write_error(error)
        if self._unanswered:  # the error is in the body of the request in progress
            self.transport.close()
            return
        self.transport.write_eof()
        self._start_timer(LINGER_SECONDS)

    def _write_error(self, error: SlipwayError) -> None:
        request_id = uuid4().hex
        response = render_error(error, PROBLEMS, ErrorContext(request_id, path=""))
        headers = [*response.raw_headers, request_id_header(request_id), NO_SNIFF, CLOSE]
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        head = STATUS_LINE[response.status_code] + lines + b"\r\n"
        self.transport.write(head + bytes(response.body))

    def _start_timer(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, self._on_timeout)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timeout(self) -> None:
        self._timer = None
        if self.pipeline:  # reading is paused: requests wait for an earlier response
            self._start_timer(self.limits.header_timeout_seconds)
        elif not self.transport.is_closing():
            self.transport.close()
