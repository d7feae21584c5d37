"""A transport that sends small writes together and cuts off clients that do not read."""

from __future__ import annotations

import asyncio
from typing import Any

MAX_HELD_BYTES = 64 * 1024


class BatchingTransport(asyncio.Transport):
    """Holds small writes back until the event loop's next turn.

    So the head of a response leaves with its body in one packet, and the responses to a batch leave
    one right after the other: each one that is sent wakes a client, which takes a core while the
    others are still written.

    A client that reads nothing for `stall_seconds` of what waits for it is cut off.
    """

    def __init__(self, transport: asyncio.Transport, stall_seconds: float) -> None:
        super().__init__()
        self._transport = transport
        self._stall_seconds = stall_seconds
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

    def watch_reader(self) -> None:
        """Cut the client off if it stops reading before it has read all that was written."""
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
        if read == self._read:
            self._transport.abort()
        else:
            self._read = read
            self._schedule_check()

    def _count_read(self) -> int:
        return self._written - self._transport.get_write_buffer_size()
