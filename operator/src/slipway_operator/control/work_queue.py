"""Which ModelDeployments wait for a reconciliation, each at most once at a time.

A key that is added while it is worked on is worked on again afterwards; a key that failed comes
back after a pause that doubles, up to a minute.
"""

from __future__ import annotations

import asyncio

from slipway_operator.cache.owned_objects import Key

MIN_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 60.0


class WorkQueue:
    """First in, first out; used from one event loop."""

    def __init__(self) -> None:
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._waiting: set[Key] = set()
        self._active: set[Key] = set()
        self._again: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}

    @property
    def depth(self) -> int:
        """Keys that wait or are worked on; those that wait for a time to come do not count."""
        return len(self._waiting) + len(self._active)

    def add(self, key: Key, after_seconds: float = 0) -> None:
        """Work on the key, at once or in a while; an earlier time wins over a later one."""
        if after_seconds <= 0:
            self._forget_timer(key)
            self._add_now(key)
            return
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= loop.time() + after_seconds:
                return
            timer.cancel()
        self._timers[key] = loop.call_later(after_seconds, self._on_time, key)

    async def get(self) -> Key:
        """The next key; the caller must call `done` or `failed` with it."""
        key = await self._ready.get()
        self._waiting.discard(key)
        self._active.add(key)
        return key

    def done(self, key: Key) -> None:
        """The key was worked on; failures before are forgotten."""
        self._failures.pop(key, None)
        self._finish(key)

    def failed(self, key: Key) -> None:
        """The key could not be worked on: it comes back later."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        self._again.discard(key)
        self._finish(key)
        self.add(key, min(MAX_BACKOFF_SECONDS, MIN_BACKOFF_SECONDS * 2 ** min(count, 16)))

    def next_time(self, key: Key) -> float:
        """When the key becomes due, on the loop's clock; 0 when no time is set for it."""
        timer = self._timers.get(key)
        return timer.when() if timer is not None else 0

    def close(self) -> None:
        """Forget everything that waits."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _finish(self, key: Key) -> None:
        self._active.discard(key)
        if key in self._again:
            self._again.discard(key)
            self._add_now(key)

    def _add_now(self, key: Key) -> None:
        if key in self._active:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    def _on_time(self, key: Key) -> None:
        self._timers.pop(key, None)
        self._add_now(key)

    def _forget_timer(self, key: Key) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
