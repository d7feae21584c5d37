"""A small HTTP endpoint for probes and Prometheus: /livez, /readyz and /metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from slipway_core.errors import InvalidSettings

REQUEST_TIMEOUT_SECONDS = 5
_LONGEST_HEAD = 16 * 1024


class HealthServer:
    """Answers GET requests, one per connection. `is_ready` says whether work is being done."""

    def __init__(self, is_ready: Callable[[], bool]) -> None:
        self._is_ready = is_ready
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listen; raises InvalidSettings when the port cannot be had."""
        try:
            self._server = await asyncio.start_server(self._serve, host, port, limit=_LONGEST_HEAD)
        except OSError as error:
            raise InvalidSettings(
                f"port {port} of {host} cannot be used for health checks ({error.strerror}): "
                "set SLIPWAY_METRICS_PORT to a free one, or to 0 for none"
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a client that goes away, dawdles or talks too much gets no answer
        finally:
            writer.close()

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.split(b" ", 1)[0].split(b"?", 1)[0]
        if method != b"GET":
            return _response("405 Method Not Allowed", b"only GET is answered\n")
        if path == b"/livez":
            return _response("200 OK", b"ok\n")
        if path == b"/readyz":
            ready = self._is_ready()
            return _response(
                "200 OK" if ready else "503 Service Unavailable",
                b"ok\n" if ready else b"not ready\n",
            )
        if path == b"/metrics":
            return _response("200 OK", generate_latest(), CONTENT_TYPE_LATEST)
        return _response("404 Not Found", b"there are /livez, /readyz and /metrics\n")


def _response(status: str, body: bytes, kind: str = "text/plain; charset=utf-8") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body
