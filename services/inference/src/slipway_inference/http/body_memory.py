"""Bounds the memory that all bodies in flight take together."""

from __future__ import annotations

from typing import Self

from slipway_core.errors import QueueFull


class BodyMemory:
    """Bytes shared by all bodies that are being read, so that a flood cannot exhaust memory."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._used = 0

    def account(self) -> BodyAccount:
        """Return the account of one body: a context that releases its bytes at the end."""
        return BodyAccount(self)

    def take(self, count: int) -> None:
        """Reserve bytes. Raises QueueFull when there is no room."""
        if self._used + count > self._max_bytes:
            raise QueueFull(
                "too many large bodies are being read; send the request again",
                retry_after_seconds=1,
            )
        self._used += count

    def release(self, count: int) -> None:
        self._used -= count


class BodyAccount:
    """The bytes that one body has reserved."""

    __slots__ = ("_memory", "_used")

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self._used = 0

    def take(self, count: int) -> None:
        """Reserve bytes. Raises QueueFull when there is no room."""
        self._memory.take(count)
        self._used += count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._memory.release(self._used)
