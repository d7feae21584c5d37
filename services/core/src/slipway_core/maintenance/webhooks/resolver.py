"""Look-ups of host names that others choose, whose name servers may never answer.

The event loop's own look-ups share a few threads with everything else that blocks: some names would
be enough to stop it.
"""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from typing import Any

from slipway_core.tasks import run_in_daemon_thread

MAX_THREADS = 256
"""Look-ups of a process at the same time, also those that nobody waits for any more. Each takes a
thread, until the resolver of the system gives up.
"""
_running: set[asyncio.Task[Any]] = set()


async def look_up(host: str, port: int) -> list[tuple[Any, ...]]:
    """Return what `socket.getaddrinfo` returns, or raise its error; when there are too many
    look-ups, TimeoutError. When cancelled, the look-up goes on alone.
    """
    if len(_running) >= MAX_THREADS:
        raise TimeoutError
    find = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    task = asyncio.create_task(run_in_daemon_thread(find))
    _running.add(task)
    task.add_done_callback(_forget)
    return await asyncio.shield(task)


def _forget(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled():
        task.exception()  # marks it as retrieved: its caller may be gone
