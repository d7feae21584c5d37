"""How late the event loop is, and how much of that the server itself computed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from slipway_core.observability.collectors import HistogramSeries
from slipway_inference.serving import metrics
from slipway_inference.serving.loop_delay import LoopDelay

BLOCKED_SECONDS = 0.3


def observations_above(series: HistogramSeries, seconds: float) -> int:
    """Return how many observations were longer."""
    bounds = [*series._bounds, float("inf")]
    return sum(count for bound, count in zip(bounds, series.counts, strict=True) if bound > seconds)


def compute() -> None:
    """Use the processor for a while."""
    end = time.process_time() + BLOCKED_SECONDS
    while time.process_time() < end:
        pass


def wait() -> None:
    """Hold the event loop without using the processor."""
    time.sleep(BLOCKED_SECONDS)


async def blocked_by(action: Callable[[], None]) -> tuple[int, int]:
    """Return how many times the loop was seen late, and held, after an action that blocks it."""
    before = [observations_above(each, 0.2) for each in (metrics.LOOP_DELAY, metrics.LOOP_HELD)]
    seen = sum(metrics.LOOP_DELAY.counts)
    delay = LoopDelay()
    delay.start()
    try:
        action()
        while sum(metrics.LOOP_DELAY.counts) == seen:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.001)
    finally:
        delay.stop()
    after = [observations_above(each, 0.2) for each in (metrics.LOOP_DELAY, metrics.LOOP_HELD)]
    return after[0] - before[0], after[1] - before[1]


async def test_computing_holds_the_loop() -> None:
    assert await blocked_by(compute) == (1, 1)


async def test_waiting_delays_it_only() -> None:
    assert await blocked_by(wait) == (1, 0)
