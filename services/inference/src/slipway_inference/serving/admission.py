"""Room that all requests share: memory for bodies, a thread for large ones, slots for streams."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from slipway_core.errors import TooManyStreams
from slipway_inference.http.body_memory import BodyMemory
from slipway_inference.http.large_work import LargeWork

RETRY_AFTER_SECONDS = 5


class Admission:
    """Rejects what exceeds the limits of the process."""

    def __init__(self, *, max_buffered_bytes: int, max_streams: int) -> None:
        self.body_memory = BodyMemory(max_buffered_bytes)
        self.large_work = LargeWork()
        self._max_streams = max_streams
        self._streaming: set[asyncio.Task[Any]] = set()

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Hold a slot for one upload, result stream or progress stream. Raises TooManyStreams."""
        if len(self._streaming) >= self._max_streams:
            raise TooManyStreams(
                f"{self._max_streams} streams are open and no more are allowed; try again soon",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - coroutines run in tasks
        self._streaming.add(task)
        try:
            yield
        finally:
            self._streaming.discard(task)

    def cancel_streams(self) -> None:
        """Cancel the requests that hold a slot."""
        for task in self._streaming:
            task.cancel()
