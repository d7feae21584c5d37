"""The port of a service for the kubelet and Prometheus: /livez, /readyz and /metrics.

Callers of the service have no part in it: its connections are counted and bounded apart from
theirs, so that probes are answered whatever happens at the port of the API.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from slipway_core.errors import InvalidSettings, SlipwayError

MAX_CONNECTIONS = 64
"""The kubelet and Prometheus need a few. Each costs some kilobytes, and the metrics that it sends.
"""
MAX_CONNECTION_SECONDS = 10.0
"""The longest timeout of a probe: whoever takes longer does not wait for the response any more."""
MAX_REQUEST_BYTES = 16 * 1024
_TEXT = "text/plain; charset=utf-8"


class ProbeServer:
    """Answers probes and scrapes, one per connection.

    check_ready: raises the SlipwayError that says why requests or work should not be sent here.
    """

    def __init__(self, check_ready: Callable[[], None]) -> None:
        self._check_ready = check_ready
        self._server: asyncio.Server | None = None
        self._open: dict[_Connection, None] = {}
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listen at an address, or at all if it is empty. Raises InvalidSettings when the port
        cannot be bound.
        """
        config = Config(
            self._respond, interface="asgi3", http=_Connection, ws="none", log_config=None
        )
        config.load()
        state = ServerState()
        try:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: _Connection(config, state, {}, open_connections=self._open),
                host,
                port,
            )
        except OSError as error:
            raise InvalidSettings(
                f"port {port} of {host or '*'} cannot be used for probes ({error.strerror}): "
                "set SLIPWAY_METRICS_PORT to a free one, or to 0"
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening, and end all connections."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._open):
            connection.transport.abort()

    async def _respond(self, scope: Any, receive: Any, send: Any) -> None:
        status, text, kind = self._answer(scope["method"], scope["path"])
        body = text.encode()
        headers = [
            (b"content-type", kind.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _answer(self, method: str, path: str) -> tuple[int, str, str]:
        """Return the status, the body and its media type."""
        if method not in ("GET", "HEAD"):
            return 405, "only GET and HEAD are allowed\n", _TEXT
        if path == "/livez":
            return 200, "ok\n", _TEXT
        if path == "/readyz":
            try:
                self._check_ready()
            except SlipwayError as error:
                return error.http_status, f"{error.code}: {error.message}\n", _TEXT
            return 200, "ok\n", _TEXT
        if path == "/metrics":
            return 200, generate_latest().decode(), CONTENT_TYPE_LATEST
        return 404, "the paths are /livez, /readyz and /metrics\n", _TEXT


class _Connection(HttpToolsProtocol):
    """uvicorn's connection with bounds. When there are too many, the oldest one ends: probes are
    short, and one that begins is worth more than one that stays.
    """

    def __init__(self, *args: Any, open_connections: dict[_Connection, None]) -> None:
        super().__init__(*args)
        self._open = open_connections
        self._received_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._end = self.loop.call_later(MAX_CONNECTION_SECONDS, transport.abort)
        self._open[self] = None
        if len(self._open) > MAX_CONNECTIONS:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end.cancel()
        self._open.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received_bytes += len(data)
        if self._received_bytes > MAX_REQUEST_BYTES:
            self.transport.abort()
        elif not self.transport.is_closing():
            super().data_received(data)
