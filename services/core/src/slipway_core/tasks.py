"""Reliable cancellation of background tasks, and blocking work beside them.

A single `cancel` can be lost: `asyncio.wait_for` of Python 3.11, which the clients of Redis and
PostgreSQL use, swallows it when its result arrives at the same moment. A task that loops then runs
forever, and so does everything that waits for its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


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


async def run_in_daemon_thread(work: Callable[[], T]) -> T:
    """Return the result of `work`, or raise its error. When cancelled, the thread runs on alone.

    It does not keep the process alive. The threads of the event loop's own executor are joined when
    a process ends, however long they take.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if result.done():
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)  # type: ignore[arg-type]  # T may be None itself

    def run() -> None:
        value: T | None = None
        raised: BaseException | None = None
        try:
            value = work()
        except BaseException as error:
            raised = error
        with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
            loop.call_soon_threadsafe(settle, value, raised)

    threading.Thread(target=run, daemon=True, name=f"slipway-{id(result)}").start()
    return await result
