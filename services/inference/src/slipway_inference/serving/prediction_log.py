"""Writes the prediction log behind the requests' backs: bounded, in batches, never in their way.

Rows wait in memory for at most half a second or a thousand rows, then go to PostgreSQL together.
While the database is away rows wait, within bounds of number and size; what exceeds them is
dropped and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

from slipway_core.errors import SlipwayError
from slipway_core.observability import metrics
from slipway_core.store.records import PredictionRecord
from slipway_core.tasks import cancel_and_wait

log = structlog.get_logger("slipway.prediction_log")

ROWS_TOGETHER = 1000
SECONDS_TOGETHER = 0.5
MOST_BYTES = 64 * 1024 * 1024
PAUSES_SECONDS = (0.5, 1.0, 2.0, 5.0)
FLUSH_SECONDS = 5.0

Insert = Callable[[list[PredictionRecord]], Awaitable[None]]


class PredictionLog:
    """`offer` is called on the event loop by requests; one task writes."""

    def __init__(self, insert: Insert, *, max_rows: int, max_bytes: int = MOST_BYTES) -> None:
        self._insert = insert
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._rows: deque[tuple[PredictionRecord, int]] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.written = 0
        self.dropped = 0

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._write_until_closed())

    @property
    def waiting(self) -> int:
        """Rows that are not in the database yet."""
        return len(self._rows)

    def offer(self, row: PredictionRecord, size: int) -> None:
        """Take a row of about `size` bytes, or count it as dropped; returns at once."""
        if len(self._rows) >= self._max_rows or self._bytes + size > self._max_bytes:
            self._count_dropped(1)
            return
        if not self._rows:
            self._wake.set()
        self._rows.append((row, size))
        self._bytes += size

    async def close(self, flush_seconds: float = FLUSH_SECONDS) -> None:
        """Write what waits, for at most `flush_seconds`; the rest is counted as dropped."""
        self._closing.set()
        self._wake.set()
        if self._task:
            await asyncio.wait([self._task], timeout=flush_seconds)
            if not self._task.done():
                log.warning("prediction log not flushed", code="LogRowsDropped")
            await cancel_and_wait(self._task)
        self._count_dropped(len(self._rows))
        self._rows.clear()

    async def _write_until_closed(self) -> None:
        while True:
            await self._wake.wait()
            if len(self._rows) < ROWS_TOGETHER:
                await self._pause(SECONDS_TOGETHER)
            self._wake.clear()
            while self._rows:
                await self._write_some()
            if self._closing.is_set():
                return

    async def _write_some(self) -> None:
        """Write the oldest rows; they stay in the queue until the database has them or they cannot
        be written at all.
        """
        count = min(ROWS_TOGETHER, len(self._rows))
        rows = [self._rows[index][0] for index in range(count)]
        attempt = 0
        while not await self._try(rows):
            await self._pause(PAUSES_SECONDS[min(attempt, len(PAUSES_SECONDS) - 1)])
            attempt += 1
        for _ in range(count):
            self._bytes -= self._rows.popleft()[1]

    async def _try(self, rows: list[PredictionRecord]) -> bool:
        """Whether these rows are done with: False when trying again later can help."""
        try:
            await self._insert(rows)
        except SlipwayError as error:
            if error.retryable:
                log.warning("prediction log waits", code=error.code, cause=error.message)
                return False
            return await self._halve(rows, error)
        except Exception as error:
            return await self._halve(rows, error)
        self.written += len(rows)
        metrics.LOG_ROWS_WRITTEN.inc(len(rows))
        return True

    async def _halve(self, rows: list[PredictionRecord], error: Exception) -> bool:
        """Find the row that the database refuses, so that it alone is dropped."""
        if len(rows) == 1:
            log.error("a row of the prediction log was refused", cause=str(error)[:500])
            self._count_dropped(1)
            return True
        middle = len(rows) // 2
        for half in (rows[:middle], rows[middle:]):
            while not await self._try(half):
                await self._pause(PAUSES_SECONDS[0])
        return True

    async def _pause(self, seconds: float) -> None:
        """Wait, but hardly while closing."""
        if self._closing.is_set():
            await asyncio.sleep(0.05)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    def _count_dropped(self, count: int) -> None:
        self.dropped += count
        metrics.LOG_ROWS_DROPPED.inc(count)
