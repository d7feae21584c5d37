"""Runs the application under uvicorn, and takes over its signals so that nothing accepted is lost.

On SIGTERM /readyz says no at once, while new requests are answered for the drain delay (a load
balancer needs a moment to look elsewhere); then the listener closes, what was accepted is finished,
and the process ends with status 0. SIGINT leaves out the delay; a second signal ends at once.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn

from slipway_core.engines.garbage import keep_what_exists
from slipway_core.observability.request_lines import flush_request_lines
from slipway_inference.app import create_app
from slipway_inference.http.connection import bounded_protocol
from slipway_inference.prediction.direct import DirectRoutes
from slipway_inference.serving.service import Service
from slipway_inference.settings import InferenceSettings

log = structlog.get_logger("slipway.server")


class Server(uvicorn.Server):
    """uvicorn with our way of stopping."""

    def __init__(self, settings: InferenceSettings, service: Service) -> None:
        app = create_app(settings, service)
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                http=bounded_protocol(settings, DirectRoutes(app, service)),
                ws="none",
                loop="uvloop",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=settings.keep_alive_seconds,
                timeout_graceful_shutdown=settings.drain_timeout_seconds,
            )
        )
        self._settings = settings
        self._service = service
        service.on_model_error = self._stop_now
        service.on_model_loaded = keep_what_exists

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals in the event loop, for as long as the server runs."""
        loop = asyncio.get_running_loop()
        delays = {signal.SIGTERM: self._settings.drain_delay_seconds, signal.SIGINT: 0.0}
        for number, delay in delays.items():
            loop.add_signal_handler(number, self._drain, delay)
        try:
            yield
        finally:
            for number in delays:
                loop.remove_signal_handler(number)

    def _drain(self, delay: float) -> None:
        if self._service.draining:
            log.warning("stopping at once", cause="second signal")
            self.force_exit = self.should_exit = True
            return
        log.info("draining", delay_seconds=delay)
        self._service.drain_started.set()
        asyncio.get_running_loop().call_later(delay, self._stop_now)

    def _stop_now(self) -> None:
        self.should_exit = True


def serve(settings: InferenceSettings) -> int:
    """Serve until told to stop; the exit status: 0, or 1 when the model could not be served."""
    service = Service(settings)
    server = Server(settings, service)
    try:
        server.run()
    finally:
        flush_request_lines()
    return 1 if service.model_error or not server.started else 0
