"""Drops work that nobody waits for any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Scope

from slipway_inference.request_context import context_of

T = TypeVar("T")


async def while_connected(scope: Scope, work: Awaitable[T]) -> T:
    """The result of `work`; cancels it and raises ClientDisconnect when the client goes away, of
    which the connection tells the request's context.
    """
    context = context_of(scope)
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - coroutines run in tasks
    context.on_disconnect = task.cancel
    try:
        return await work
    except asyncio.CancelledError:
        if not context.disconnected or task.uncancel():
            raise
        raise ClientDisconnect from None
    finally:
        context.on_disconnect = None
