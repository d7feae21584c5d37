"""From the start of a server to the end of its drain."""

from __future__ import annotations

import asyncio

from slipway_core.errors import Draining
from slipway_core.tasks import cancel_and_wait
from slipway_inference.serving.served_model import ServedModel
from slipway_inference.serving.stores import Stores


class Lifecycle:
    """Starts and stops the model and the stores, and knows whether the server drains."""

    def __init__(self, model: ServedModel, stores: Stores, *, drain_timeout_seconds: float) -> None:
        self._model = model
        self._stores = stores
        self._drain_timeout_seconds = drain_timeout_seconds
        self._loading: asyncio.Task[None] | None = None
        self.drain_started = asyncio.Event()

    def is_draining(self) -> bool:
        """Return whether this server shuts down and clients should connect elsewhere."""
        return self.drain_started.is_set()

    def check_ready(self) -> None:
        """Raises Draining or ModelNotReady when requests should not be sent here."""
        if self.is_draining():
            raise Draining("this server is shutting down")
        self._model.check_ready()

    async def start(self) -> None:
        """Open the stores and begin to load the model. Returns while it loads, so that the listener
        answers /livez and /readyz meanwhile.
        """
        await self._stores.open()
        self._loading = asyncio.create_task(self._model.load())

    async def stop(self) -> None:
        """Answer what was accepted, write what is to be logged, and end the engines."""
        if self._loading:
            await cancel_and_wait(self._loading)
        await self._model.drain(self._drain_timeout_seconds)
        await self._stores.close()
        await self._model.close()
