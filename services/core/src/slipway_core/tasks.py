"""Ends background tasks for certain.

A single `cancel` can be lost: `asyncio.wait_for` of Python 3.11, which the clients of Redis and
PostgreSQL use, swallows it when what was waited for arrives at the same moment. A task that loops
then goes on for ever, and so does whoever waits for its end.
"""

from __future__ import annotations

import asyncio
from typing import Any


def is_being_cancelled() -> bool:
    """Whether the running task was asked to end, whatever a client made of that meanwhile."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def cancel_and_wait(*tasks: asyncio.Task[Any], every_seconds: float = 1.0) -> None:
    """Cancel `tasks`, again every so many seconds, until all have ended; nothing is raised.

    every_seconds: longer than a task may need to put things in order after it was cancelled.
    """
    running = {task for task in tasks if not task.done()}
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=every_seconds)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # seen
