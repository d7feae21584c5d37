"""Measures how late the event loop runs what is due, and how long the server itself holds it."""

from __future__ import annotations

import asyncio
import time

from slipway_inference.serving import metrics

PERIOD_SECONDS = 0.02


class LoopDelay:
    """Observes the delay of a timer that is due every PERIOD_SECONDS."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to observe the running loop."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(
            PERIOD_SECONDS, self._observe, loop, loop.time() + PERIOD_SECONDS, time.process_time()
        )

    def stop(self) -> None:
        """End the observation."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _observe(self, loop: asyncio.AbstractEventLoop, due: float, cpu_before: float) -> None:
        delay = max(loop.time() - due, 0.0)
        cpu = time.process_time()
        metrics.LOOP_DELAY.observe(delay)
        # A process that waits for a core is late too, without having used any.
        metrics.LOOP_HELD.observe(min(delay, cpu - cpu_before))
        self._timer = loop.call_later(
            PERIOD_SECONDS, self._observe, loop, loop.time() + PERIOD_SECONDS, cpu
        )
