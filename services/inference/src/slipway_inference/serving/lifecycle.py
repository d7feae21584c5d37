"""Starts the server's parts, drains and stops them."""

from __future__ import annotations

import asyncio

from slipway_core.errors import Draining
from slipway_core.tasks import cancel_and_wait
from slipway_inference.serving.admission import Admission
from slipway_inference.serving.loop_delay import LoopDelay
from slipway_inference.serving.served_model import ServedModel
from slipway_inference.serving.stores import Stores


class Lifecycle:
    """The order of start, drain and stop.

    During the drain everything that was accepted is answered. At its end, queued predictions and
    streams are rejected; predictions that are being computed still get their responses.
    """

    def __init__(self, model: ServedModel, stores: Stores, admission: Admission) -> None:
        self._model = model
        self._stores = stores
        self._admission = admission
        self._loading: asyncio.Task[None] | None = None
        self._loop_delay = LoopDelay()
        self.drain_started = asyncio.Event()

    def is_draining(self) -> bool:
        """Return whether the server shuts down, so that clients should connect elsewhere."""
        return self.drain_started.is_set()

    def check_ready(self) -> None:
        """Raise Draining or ModelNotReady when requests should not be sent here."""
        if self.is_draining():
            raise Draining("this server is shutting down")
        self._model.check_ready()

    async def start(self) -> None:
        """Open the stores and begin to load the model. Returns while it loads, so that the listener
        answers /livez and /readyz meanwhile.
        """
        self._loop_delay.start()
        await self._stores.open()
        self._loading = asyncio.create_task(self._model.load())

    def end_drain(self) -> None:
        """Reject what has not been answered and is not being computed."""
        self._model.reject_queued()
        self._admission.streams.cancel_all()

    async def stop(self) -> None:
        """Write what is to be logged, disconnect from the stores, and end the engines."""
        if self._loading:
            await cancel_and_wait(self._loading)
        self.end_drain()  # before the prediction log closes
        await self._stores.close()
        await self._model.close()
        self._loop_delay.stop()
