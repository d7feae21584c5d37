"""Runs blocking work in a thread that does not keep the process alive.

The event loop's own executor threads are joined when a process ends, however long they take.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def run_in_daemon_thread(work: Callable[[], T]) -> T:
    """Return the result of `work`, or raise its error. When cancelled, the thread runs on alone."""
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
