"""Room that all requests share: memory for bodies, and slots for streams."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from slipway_core.errors import TooManyStreams
from slipway_inference.http.body_memory import BodyMemory

RETRY_AFTER_SECONDS = 5


class Admission:
    """Rejects what exceeds the limits of the process."""

    def __init__(self, *, max_buffered_bytes: int, max_streams: int) -> None:
        self.body_memory = BodyMemory(max_buffered_bytes)
        self._max_streams = max_streams
        self._streams = 0

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Hold a slot for one upload, result stream or progress stream. Raises TooManyStreams."""
        if self._streams >= self._max_streams:
            raise TooManyStreams(
                f"{self._streams} streams are open, which is the most; try again soon",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1
