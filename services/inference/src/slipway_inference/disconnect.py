"""Drops work that nobody waits for any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

T = TypeVar("T")


async def while_connected(receive: Receive, work: Awaitable[T]) -> T:
    """The result of `work`; cancels it and raises ClientDisconnect when the client goes away.

    The request's body must have been read to its end.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - coroutines run in tasks
    watcher = asyncio.create_task(_until_gone(receive))

    def stop_working(_: asyncio.Task[None]) -> None:
        task.cancel()

    watcher.add_done_callback(stop_working)
    try:
        return await work
    except asyncio.CancelledError:
        if not watcher.done() or watcher.cancelled() or task.uncancel():
            raise
        raise ClientDisconnect from None
    finally:
        watcher.remove_done_callback(stop_working)
        watcher.cancel()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
