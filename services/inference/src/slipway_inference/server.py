"""Runs the application under uvicorn, and handles signals so that nothing accepted is lost.

On SIGTERM /readyz fails at once, while new requests are answered for the drain delay (a load
balancer needs a moment to notice); then the listener closes, accepted requests are finished, and
the process exits with status 0. SIGINT skips the delay; a second signal stops the server at once.
"""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn

from slipway_core.engines.garbage import freeze_existing_objects
from slipway_core.errors import InvalidSettings
from slipway_core.observability.request_lines import flush_request_lines
from slipway_core.probe_server import ProbeServer
from slipway_inference.app import Components, create_app
from slipway_inference.http.connection import bounded_protocol
from slipway_inference.settings import InferenceSettings

log = structlog.get_logger("slipway.server")

MAX_DRAINS = 2
"""Drain timeouts after which uvicorn cancels every request: a running batch has one to itself."""

OTHER_OPEN_FILES = 1024
"""Files beside connections of clients: engines, the pool of the database, connections that end."""


class Server(uvicorn.Server):
    """uvicorn with our way of stopping."""

    def __init__(self, components: Components) -> None:
        settings = components.settings
        super().__init__(
            uvicorn.Config(
                create_app(components),
                host=settings.interfaces(settings.host),
                port=settings.port,
                http=bounded_protocol(settings),
                ws="none",
                loop="uvloop",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=settings.keep_alive_seconds,
                timeout_graceful_shutdown=MAX_DRAINS * settings.drain_timeout_seconds,
            )
        )
        self._settings = settings
        self._model = components.model
        self._lifecycle = components.lifecycle
        self._probes = ProbeServer(components.lifecycle.check_ready)
        self._following: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and follow the loading of the model. Raises InvalidSettings when the port of the
        probes cannot be bound.
        """
        if self._settings.metrics_port:
            await self._probes.start(
                self._settings.interfaces(self._settings.metrics_host), self._settings.metrics_port
            )
        await super().startup(sockets)
        self._following = asyncio.create_task(self._follow_model())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish accepted requests; probes are answered until then."""
        await super().shutdown(sockets)
        await self._probes.close()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals in the event loop while the server runs."""
        loop = asyncio.get_running_loop()
        delays = {signal.SIGTERM: self._settings.drain_delay_seconds, signal.SIGINT: 0.0}
        for number, delay in delays.items():
            loop.add_signal_handler(number, self._drain, delay)
        try:
            yield
        finally:
            for number in delays:
                loop.remove_signal_handler(number)

    async def _follow_model(self) -> None:
        """Stop the server when its model cannot be served."""
        await self._model.settled.wait()
        if self._model.error:
            self._stop()
        else:
            freeze_existing_objects()

    def _drain(self, delay: float) -> None:
        if self._lifecycle.is_draining():
            log.warning("stopping at once", cause="second signal")
            self.force_exit = self.should_exit = True
            return
        log.info("draining", delay_seconds=delay)
        self._lifecycle.drain_started.set()
        loop = asyncio.get_running_loop()
        loop.call_later(delay, self._stop)
        end = delay + self._settings.drain_timeout_seconds
        loop.call_later(end, self._lifecycle.end_drain)

    def _stop(self) -> None:
        self.should_exit = True


def _allow_open_files(count: int) -> None:
    """Raise the limit of open files, which on many laptops is below that of connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        count = min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def serve(settings: InferenceSettings) -> int:
    """Serve until a signal. Returns the exit status: 1 if the model could not be served, else 0."""
    _allow_open_files(settings.max_connections + OTHER_OPEN_FILES)
    components = Components.create(settings)
    server = Server(components)
    try:
        server.run()
    except InvalidSettings as error:
        log.critical("the server cannot run", code=error.code, cause=error.message)
    finally:
        flush_request_lines()
    return 1 if components.model.error or not server.started else 0
