"""HTTP/1.1 connections with bounds that uvicorn does not set: their number, the size of headers,
the time in which these arrive, and how often those are heard who come back at once after a 429.

Requests go to the application, or to a direct route when their body came with their headers.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, cast
from uuid import uuid4

import orjson
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from slipway_core.errors import HeadersTooLarge, MalformedBody, SlipwayError, TooManyStreams
from slipway_inference.http.context import tell_disconnected, was_refused
from slipway_inference.http.problem import MEDIA_TYPE, describe
from slipway_inference.prediction.direct import DirectRoute, DirectRoutes, Headers
from slipway_inference.settings import InferenceSettings

LINGER_SECONDS = 2.0
"""For how long what a refused client still sends is read, and thrown away."""
FIRST_REQUEST_SECONDS = 1.0
"""For how long a server that ends waits for the first request of a connection that it accepted."""
REFUSED_READ_PER_SECOND = 500.0
"""Refusing costs the time in which accepted requests are answered, so clients that ignore
Retry-After must not make it all that the server does.
"""
LONGEST_TURN_SECONDS = 5.0
"""More than all connections need for a turn each. Clients that go away leave their turns behind,
and those that stay must not wait for these.
"""


def bounded_protocol(settings: InferenceSettings, routes: DirectRoutes) -> type[HttpToolsProtocol]:
    """The protocol class for uvicorn's `http` option."""

    class BoundedProtocol(_BoundedProtocol):
        limits = settings
        direct = routes
        pacer = Pacer(REFUSED_READ_PER_SECOND)

    return BoundedProtocol


class Pacer:
    """Gives out turns at a bounded rate: each caller learns how long to wait for its own."""

    def __init__(self, per_second: float) -> None:
        self._step = 1 / per_second
        self._last = 0.0

    def seconds_to_turn(self, now: float) -> float:
        """From `now`, a time of the caller's monotonic clock, to the caller's turn."""
        self._last = min(max(self._last, now) + self._step, now + LONGEST_TURN_SECONDS)
        return self._last - now


class _Packets:
    """A transport whose writes wait for the event loop's next turn. So the head of an answer goes
    with the beginning of its body in one packet, and the answers to a batch go one right after the
    other: each that is sent wakes a client, which takes a core while the others are still written.

    A client that reads nothing for `stall_seconds` of what waits for it is cut off.
    """

    def __init__(self, transport: asyncio.Transport, stall_seconds: float) -> None:
        self._transport = transport
        self._stall_seconds = stall_seconds
        self._held = b""
        self._written = self._read = 0
        self._look_again: asyncio.TimerHandle | None = None
        self.is_closing = transport.is_closing  # asked several times for each request

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._send(held + data)
        else:
            self._held = data
            asyncio.get_running_loop().call_soon(self._send_held)

    def write_eof(self) -> None:
        self._send_held()
        self._transport.write_eof()

    def close(self) -> None:
        """Close the connection once all is read that was written."""
        self._send_held()
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self.watch_reader()

    def watch_reader(self) -> None:
        """Cut the client off when it does not read, from now on until nothing waits for it."""
        if self._look_again is None:
            self._read = self._count_read()
            self._look_later()

    def stop_watching(self) -> None:
        """The connection has ended."""
        if self._look_again is not None:
            self._look_again.cancel()

    def _look_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._look_again = loop.call_later(self._stall_seconds, self._look)

    def _look(self) -> None:
        self._look_again = None
        if not self._transport.get_write_buffer_size():
            return
        read = self._count_read()
        if read == self._read:
            self._transport.abort()
        else:
            self._read = read
            self._look_later()

    def _count_read(self) -> int:
        return self._written - self._transport.get_write_buffer_size()

    def _send(self, data: bytes) -> None:
        self._written += len(data)
        self._transport.write(data)

    def _send_held(self) -> None:
        held, self._held = self._held, b""
        if held and not self._transport.is_closing():
            self._send(held)


def _encode(status: int, headers: Headers, body: bytes) -> bytes:
    """A whole answer as it is sent."""
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return b"%b%b\r\n%b" % (STATUS_LINE[status], lines, body)


_CLOSES = (b"connection", b"close")
_Undecided = tuple[DirectRoute, RequestResponseCycle, Any]


class _BoundedProtocol(HttpToolsProtocol):
    limits: InferenceSettings
    direct: DirectRoutes
    pacer: Pacer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._header_bytes = 0
        self._reads_headers = True
        self._timer: asyncio.TimerHandle | None = None
        self._lingers = False
        self._answering: RequestResponseCycle | None = None
        """The request that is being answered, or was last; later ones may be queued behind it, and
        uvicorn's `cycle` is the newest.
        """
        self._took_one = False
        self._undecided: _Undecided | None = None
        """A request and its application, until it is known whether its body is there already, so
        that a direct route can answer it.
        """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._packets = _Packets(transport, self.limits.body_idle_seconds)
        super().connection_made(cast(asyncio.Transport, self._packets))
        if len(self.connections) > self.limits.max_connections:
            self._answer(TooManyStreams("too many connections are open; try again soon"))
            self.transport.close()
            return
        self._start_timer(self.limits.header_timeout_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._packets.stop_watching()
        running = self._answering
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()
            tell_disconnected(cast(Scope, running.scope))
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._packets.watch_reader()

    def data_received(self, data: bytes) -> None:
        if self._lingers or self.transport.is_closing():
            return
        self._took_one = False
        super().data_received(data)
        self._give_to_application()
        if self._lingers or self.transport.is_closing():
            return
        idle = self.cycle is None or self.cycle.response_complete
        # Idle all the same: an empty line between requests begins none, yet has ended uvicorn's
        # wait for the next one.
        unawaited = idle and self.timeout_keep_alive_task is None
        if (self._reads_headers or unawaited) and self._timer is None:
            self._start_timer(self.limits.header_timeout_seconds)
        if self._reads_headers:
            self._header_bytes += len(data)
            if self._header_bytes > self.limits.max_header_bytes:
                most = self.limits.max_header_bytes
                self._refuse(HeadersTooLarge(f"at most {most} bytes of headers are read"))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        # The request before, in the same packet, may have been answered at once.
        self._unset_keepalive_if_required()
        self._reads_headers = True
        self._header_bytes = 0

    def on_headers_complete(self) -> None:
        self._reads_headers = False
        if self._timer is not None:
            self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self.flow.read_paused and not self.pipeline:
            # It stops at bodies above 64 KiB: a client that goes away would not be noticed.
            self.flow.resume_reading()
        if self._can_be_answered_directly():
            self._took_one = True
            route, cycle, _ = cast(_Undecided, self._undecided)
            self._undecided = None
            body, cycle.body = bytes(cycle.body), bytearray()
            cycle.on_response = lambda: None  # it holds the connection, as long as that holds it
            route.answer(cast(Scope, cycle.scope), body, partial(self._send, cycle))

    def _can_be_answered_directly(self) -> bool:
        """Whether the request that is undecided is the one that is complete now. A client that does
        not read its answers, and all but the first in a packet of many requests, are left to tasks,
        which wait and give way to others.
        """
        return (
            self._undecided is not None
            and self._undecided[1] is self.cycle
            and not self._took_one
            and not self.flow.write_paused
        )

    def shutdown(self) -> None:
        if self.cycle is None:  # accepted a moment ago: its first request may be on the way
            self._start_timer(FIRST_REQUEST_SECONDS)
        else:
            super().shutdown()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self.transport.is_closing():
            return  # a request that follows the last one in the same packet
        self._answering = cycle
        route = self.direct.find(cast(Scope, cycle.scope))
        if route is None:
            super()._start_asgi_task(cycle, app)
        else:
            self._undecided = (route, cycle, app)

    def _give_to_application(self) -> None:
        """Let a task answer the request: its body is not there yet."""
        if self._undecided is not None:
            _, cycle, app = self._undecided
            self._undecided = None
            super()._start_asgi_task(cycle, app)

    def _send(
        self, cycle: RequestResponseCycle, status: int, headers: Headers, body: bytes
    ) -> None:
        """Answer a request that has no task, as `cycle.send` does for those that have one."""
        if cycle.disconnected or cycle.response_complete or self.transport.is_closing():
            return
        headers = [*cycle.default_headers, *headers]
        if _CLOSES in headers:
            cycle.keep_alive = False
        elif not cycle.keep_alive:
            headers.append(_CLOSES)
        self.transport.write(_encode(status, headers, body))
        cycle.response_started = cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def on_response_complete(self) -> None:
        answered = self._answering
        super().on_response_complete()  # it may begin with the next one
        self._give_to_application()
        if answered is not None and answered.more_body:
            # Answered before the body was read (it was refused): do not read the rest for long.
            self._start_timer(LINGER_SECONDS)
        elif (
            answered is not None and was_refused(answered.scope) and not self.transport.is_closing()
        ):
            self.flow.pause_reading()
            self.loop.call_later(self.pacer.seconds_to_turn(self.loop.time()), self._read_again)

    def _read_again(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def send_400_response(self, msg: str) -> None:
        self._refuse(MalformedBody("the request is not valid HTTP/1.1"))

    def _refuse(self, error: SlipwayError) -> None:
        """Answer and close: there is no request that the application could answer.

        A client that is still sending would lose the answer if the connection were closed at once,
        so for a moment what it sends is thrown away.
        """
        self._answer(error)
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.close()  # or an earlier request's answer would follow
            return
        self._lingers = True
        self.transport.write_eof()
        self._start_timer(LINGER_SECONDS)

    def _answer(self, error: SlipwayError) -> None:
        request_id = uuid4().hex
        body = orjson.dumps(describe(error, request_id, ""))
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", request_id.encode()),
            (b"x-content-type-options", b"nosniff"),
            _CLOSES,
        ]
        if error.http_status in (429, 503):
            headers.append((b"retry-after", b"1"))
        self.transport.write(_encode(error.http_status, headers, body))

    def _start_timer(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, self._out_of_time)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _out_of_time(self) -> None:
        self._timer = None
        if self.pipeline:  # it is we who do not read: requests wait for an earlier answer
            self._start_timer(self.limits.header_timeout_seconds)
        elif not self.transport.is_closing():
            self.transport.close()
