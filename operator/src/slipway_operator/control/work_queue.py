"""A work queue of ModelDeployments, each of which is in it at most once.

As in client-go: a key added while a worker has it is queued again afterwards, and a key that failed
is queued again after an exponential backoff.
"""

from __future__ import annotations

import asyncio

from slipway_operator.kubernetes.objects import Key

MIN_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 60.0


class WorkQueue:
    """A queue in first-in, first-out order, for use from one event loop."""

    def __init__(self) -> None:
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._queued: set[Key] = set()
        self._active: set[Key] = set()
        self._added_while_active: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}

    @property
    def depth(self) -> int:
        """Number of keys that are queued or being worked on, without those on a timer."""
        return len(self._queued) + len(self._active)

    def add(self, key: Key, after_seconds: float = 0) -> None:
        """Add a key, now or after a delay. The earlier of two times wins."""
        if after_seconds <= 0:
            self._cancel_timer(key)
            self._add_now(key)
            return
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= loop.time() + after_seconds:
                return
            timer.cancel()
        self._timers[key] = loop.call_later(after_seconds, self._on_timer, key)

    async def get(self) -> Key:
        """Return the next key. The caller has to pass it to `done` or `failed`."""
        key = await self._ready.get()
        self._queued.discard(key)
        self._active.add(key)
        return key

    def done(self, key: Key) -> None:
        """Finish a key and reset its backoff."""
        self._failures.pop(key, None)
        self._finish(key)

    def failed(self, key: Key) -> None:
        """Finish a key that could not be reconciled, and add it again after its backoff."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        self._added_while_active.discard(key)
        self._finish(key)
        self.add(key, min(MAX_BACKOFF_SECONDS, MIN_BACKOFF_SECONDS * 2 ** min(count, 16)))

    def close(self) -> None:
        """Cancel all timers."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _finish(self, key: Key) -> None:
        self._active.discard(key)
        if key in self._added_while_active:
            self._added_while_active.discard(key)
            self._add_now(key)

    def _add_now(self, key: Key) -> None:
        if key in self._active:
            self._added_while_active.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._ready.put_nowait(key)

    def _on_timer(self, key: Key) -> None:
        self._timers.pop(key, None)
        self._add_now(key)

    def _cancel_timer(self, key: Key) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
