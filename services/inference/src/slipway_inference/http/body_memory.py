"""Bounds the memory that the bodies of all requests in progress take together."""

from __future__ import annotations

from slipway_core.errors import QueueFull


class BodyMemory:
    """Bytes shared by all requests in progress, so that a flood cannot exhaust memory."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._used = 0

    def account(self) -> BodyAccount:
        """Return the account of one request, which releases its bytes at the end."""
        return BodyAccount(self)

    def take(self, count: int) -> None:
        """Reserve bytes. Raises QueueFull when there is no room."""
        if self._used + count > self._max_bytes:
            raise QueueFull(
                "too many large requests are in progress; send the request again",
                retry_after_seconds=1,
            )
        self._used += count

    def release(self, count: int) -> None:
        self._used -= count


class BodyAccount:
    """The bytes that one request has reserved for its body and for what was decoded from it."""

    __slots__ = ("_memory", "_used")

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self._used = 0

    def take(self, count: int) -> None:
        """Reserve bytes. Raises QueueFull when there is no room."""
        self._memory.take(count)
        self._used += count

    def release(self) -> None:
        """Return all bytes of the account."""
        self._memory.release(self._used)
        self._used = 0
