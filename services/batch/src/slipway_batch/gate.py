"""Lets chunks be computed side by side, except those under suspicion, which go alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Gate:
    """A lock that many may share or one may have alone; who wants it alone goes first."""

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._inside = 0
        self._want_alone = 0
        self._alone = False

    @asynccontextmanager
    async def enter(self, *, alone: bool) -> AsyncIterator[None]:
        """Hold the lock for the length of the block."""
        async with self._changed:
            self._want_alone += alone
            try:
                await self._changed.wait_for(lambda: self._is_open(alone))
            finally:
                self._want_alone -= alone
                self._changed.notify_all()
            self._inside += 1
            self._alone = alone
        try:
            yield
        finally:
            # Not by way of the condition's lock: leaving must work while being cancelled.
            self._inside -= 1
            self._alone = False
            await asyncio.shield(self._tell())

    def _is_open(self, alone: bool) -> bool:
        if alone:
            return self._inside == 0
        return not self._alone and not self._want_alone

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
