"""Reliable cancellation of background tasks.

A single `cancel` can be lost: `asyncio.wait_for` of Python 3.11, which the clients of Redis and
PostgreSQL use, swallows it when its result arrives at the same moment. A task that loops then runs
forever, and so does everything that waits for its end.
"""

from __future__ import annotations

import asyncio
from typing import Any


def is_being_cancelled() -> bool:
    """Return whether the current task was cancelled, even if a library swallowed the exception."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def cancel_and_wait(*tasks: asyncio.Task[Any], every_seconds: float = 1.0) -> None:
    """Cancel `tasks`, repeatedly, until all have ended. Their exceptions are not raised.

    every_seconds: the interval between cancellations; longer than the clean-up of a task takes.
    """
    running = {task for task in tasks if not task.done()}
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=every_seconds)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # marks it as retrieved, so that asyncio does not log it
