"""The way of bytes to and from clients: small writes leave together, clients that do not read are
cut off, and while requests of a connection wait for each other nothing more is read from it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sized
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl

from slipway_inference.http.bodies import MIN_BYTES_PER_SECOND

MAX_HELD_BYTES = 64 * 1024


class PipelineFlowControl(FlowControl):
    """Reads nothing more while requests of the connection are queued: each could bring others."""

    def __init__(self, transport: asyncio.Transport, pipeline: Sized) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        if not self._pipeline:
            super().resume_reading()


class BatchingTransport(asyncio.Transport):
    """Holds small writes back until the event loop's next turn.

    So the head of a response leaves with its body in one packet, and the responses to a batch leave
    one right after the other: each one that is sent wakes a client, which takes a core while the
    others are still written.

    A client that within `stall_seconds` reads neither all that waits for it nor
    MIN_BYTES_PER_SECOND is cut off.
    """

    def __init__(self, transport: asyncio.Transport, stall_seconds: float) -> None:
        super().__init__()
        self._transport = transport
        self._stall_seconds = stall_seconds
        self._min_read = stall_seconds * MIN_BYTES_PER_SECOND
        self._held = b""
        self._written = self._read = 0
        self._next_check: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.is_closing = transport.is_closing  # type: ignore[method-assign]  # asked often

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Hold the data until the next turn, or send what is held beyond MAX_HELD_BYTES."""
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held += data
        if len(self._held) > MAX_HELD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send what is held."""
        held, self._held = self._held, b""
        if held and not self._transport.is_closing():
            self._written += len(held)
            self._transport.write(held)

    def write_eof(self) -> None:
        self.flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Close the connection when the client has read all that was written."""
        self.flush()
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self.watch_reader()

    def abort(self) -> None:
        self._transport.abort()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def has_unsent(self) -> bool:
        """Return whether written data still waits for the client to read."""
        self.flush()
        return self._transport.get_write_buffer_size() > 0

    def watch_reader(self) -> None:
        """Cut the client off if it reads too slowly before it has read all that was written."""
        if self._next_check is None:
            self._read = self._count_read()
            self._schedule_check()

    def stop_watching(self) -> None:
        """Cancel the check; the connection has ended."""
        if self._next_check is not None:
            self._next_check.cancel()

    def _schedule_check(self) -> None:
        self._next_check = self._loop.call_later(self._stall_seconds, self._check_reader)

    def _check_reader(self) -> None:
        self._next_check = None
        if not self._transport.get_write_buffer_size():
            return
        read = self._count_read()
        if read - self._read < self._min_read:
            self._transport.abort()
        else:
            self._read = read
            self._schedule_check()

    def _count_read(self) -> int:
        return self._written - self._transport.get_write_buffer_size()
