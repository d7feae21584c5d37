"""A readers-writer lock: chunks are computed side by side, suspected ones alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Gate:
    """A lock that many tasks share or one task has alone. A task that wants it alone goes first."""

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._inside = 0
        self._waiting_alone = 0
        self._alone = False

    @asynccontextmanager
    async def enter(self, *, alone: bool) -> AsyncIterator[None]:
        """Wait for the lock and hold it within the block."""
        async with self._changed:
            self._waiting_alone += alone
            try:
                await self._changed.wait_for(lambda: self._is_open(alone))
            finally:
                self._waiting_alone -= alone
                self._changed.notify_all()
            self._inside += 1
            self._alone = alone
        try:
            yield
        finally:
            # Without the lock of the condition: leaving must work while the task is cancelled.
            self._inside -= 1
            self._alone = False
            await asyncio.shield(self._notify())

    def _is_open(self, alone: bool) -> bool:
        if alone:
            return self._inside == 0
        return not self._alone and not self._waiting_alone

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
