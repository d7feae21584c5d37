"""The HTTP server of a batch worker for probes and Prometheus: /livez, /readyz and /metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from slipway_core.errors import InvalidSettings

REQUEST_TIMEOUT_SECONDS = 5
_MAX_HEAD_BYTES = 16 * 1024


class HealthServer:
    """Serves GET requests, one per connection.

    is_ready: returns whether the worker takes chunks.
    """

    def __init__(self, is_ready: Callable[[], bool]) -> None:
        self._is_ready = is_ready
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listen. Raises InvalidSettings when the port cannot be bound."""
        try:
            self._server = await asyncio.start_server(
                self._serve, host, port, limit=_MAX_HEAD_BYTES
            )
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
                writer.write(self._respond(head))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # no response to a client that disconnects, is too slow or sends too much
        finally:
            writer.close()

    def _respond(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.split(b" ", 1)[0].split(b"?", 1)[0]
        if method != b"GET":
            return _response("405 Method Not Allowed", b"only GET is allowed\n")
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
        return _response("404 Not Found", b"the paths are /livez, /readyz and /metrics\n")


def _response(status: str, body: bytes, content_type: str = "text/plain; charset=utf-8") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body
