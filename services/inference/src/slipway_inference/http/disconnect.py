"""Stops work that no client waits for any more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import Scope

from slipway_core.errors import SlipwayError
from slipway_inference.http.context import RequestContext, context_of


@contextmanager
def while_connected(scope: Scope) -> Iterator[None]:
    """Cancel the work inside the block, and raise ClientDisconnect, when the client goes away or
    has gone. The connection reports that to the request's context.
    """
    context = context_of(scope)
    if context.disconnected:
        raise ClientDisconnect
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - coroutines run in tasks
    context.on_disconnect = task.cancel
    try:
        yield
    except asyncio.CancelledError:
        if not context.disconnected or task.uncancel():
            raise
        raise ClientDisconnect from None
    finally:
        context.on_disconnect = None


async def wait_while_connected(result: asyncio.Future[Any], context: RequestContext) -> None:
    """Wait for a future that is cancelled when the client goes away: then raise ClientDisconnect.
    A SlipwayError stays in the future. Cheaper than `while_connected`, for work that is a future.
    """
    context.on_disconnect = result.cancel
    try:
        await result
    except SlipwayError:
        pass
    except asyncio.CancelledError:
        if not context.disconnected:
            raise
        raise ClientDisconnect from None
    finally:
        context.on_disconnect = None
