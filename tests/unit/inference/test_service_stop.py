"""The service ends whatever its background tasks are at."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from slipway_inference.app import Components
from slipway_inference.settings import InferenceSettings


async def test_stopping_does_not_hang_when_a_cancellation_is_lost() -> None:
    loading = asyncio.Event()

    async def start(_: InferenceSettings) -> Any:
        with contextlib.suppress(asyncio.CancelledError):  # as a driver does once in a while
            loading.set()
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    lifecycle = Components.create(InferenceSettings(), start).lifecycle
    await lifecycle.start()
    await loading.wait()
    async with asyncio.timeout(30):
        await lifecycle.stop()
