"""Notification of the workers about stored work."""

from __future__ import annotations

import structlog

from slipway_core.errors import QueueUnavailable
from slipway_core.queue.contract import Doorbell

log = structlog.get_logger("slipway.batch")


async def notify_workers(doorbell: Doorbell | None, rings: list[str]) -> None:
    """Ring for stored chunks. A failure is logged: the sweeper rings later."""
    if doorbell is None or not rings:
        return
    try:
        await doorbell.ring(rings)
    except QueueUnavailable as error:
        log.warning("the queue was not rung", code=error.code, cause=error.message)
