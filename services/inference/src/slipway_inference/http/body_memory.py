"""Bounds the memory that the bodies of all requests in progress take together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from slipway_core.errors import QueueFull

MIN_READING_SECONDS = 5.0
"""Time that a body may take to arrive even when there is no room for others."""


class BodyMemory:
    """Bytes shared by all requests in progress, so that a flood cannot exhaust memory.

    When there is no room, the body that has been arriving for longest has to go: clients that send
    slowly cannot hold the memory against those that send fast.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._used = 0
        self.arriving: dict[BodyAccount, float] = {}
        """Accounts of bodies that still arrive, by the time when they began; the oldest first."""

    def account(self) -> BodyAccount:
        """Return the account of one request, which releases its bytes at the end."""
        return BodyAccount(self)

    def take(self, count: int, account: BodyAccount) -> None:
        """Reserve bytes for an account. Raises QueueFull when there is no room."""
        while self._used + count > self._max_bytes:
            oldest = next(iter(self.arriving), account)
            if oldest is account or self._seconds_arriving(oldest) < MIN_READING_SECONDS:
                raise _full()
            oldest.give_up()
        self._used += count

    def _seconds_arriving(self, account: BodyAccount) -> float:
        return asyncio.get_running_loop().time() - self.arriving[account]

    def release(self, count: int) -> None:
        self._used -= count


class BodyAccount:
    """The bytes that one request has reserved for its body and for what was decoded from it."""

    __slots__ = ("_has_given_up", "_memory", "_used", "timeout")

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self._used = 0
        self._has_given_up = False
        self.timeout: asyncio.Timeout | None = None
        """The timeout within which the next part of the body is awaited."""

    def take(self, count: int) -> None:
        """Reserve bytes. Raises QueueFull when there is no room."""
        if self._has_given_up:
            raise _full()
        self._memory.take(count, self)
        self._used += count

    def release(self) -> None:
        """Return all bytes of the account."""
        self._memory.release(self._used)
        self._used = 0

    @contextmanager
    def while_reading(self) -> Iterator[None]:
        """Let the body make room for others, if it takes long, while it arrives."""
        self._memory.arriving[self] = asyncio.get_running_loop().time()
        try:
            yield
        finally:
            self._memory.arriving.pop(self, None)

    def give_up(self) -> None:
        """Return all bytes, and end the wait for the rest of the body."""
        self._memory.arriving.pop(self, None)
        self.release()
        self._has_given_up = True
        if self.timeout is not None and not self.timeout.expired():
            self.timeout.reschedule(asyncio.get_running_loop().time())


def _full() -> QueueFull:
    return QueueFull(
        "too many large requests are in progress; send the request again", retry_after_seconds=1
    )
