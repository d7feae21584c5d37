"""The service stops even if a background task swallows its cancellation."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from slipway_inference.app import Components
from slipway_inference.settings import InferenceSettings


async def test_stopping_does_not_hang_when_a_cancellation_is_lost() -> None:
    loading = asyncio.Event()

    async def start(_: InferenceSettings) -> Any:
        with contextlib.suppress(asyncio.CancelledError):  # as database drivers sometimes do
            loading.set()
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    lifecycle = Components.create(InferenceSettings(), start).lifecycle
    await lifecycle.start()
    await loading.wait()
    async with asyncio.timeout(30):
        await lifecycle.stop()
