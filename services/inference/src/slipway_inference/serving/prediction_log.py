"""Writes the prediction log in the background: bounded, in batches, and never in a request's way.

Rows wait in memory until there are ROWS_PER_WRITE of them, or for SECONDS_PER_WRITE, and then go to
PostgreSQL together. While the database is away they wait, within limits of number and size; rows
beyond these are dropped and counted, and so are all while the database is almost full.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

from slipway_core.errors import InsufficientStorage, SlipwayError
from slipway_core.store.records import PredictionRecord
from slipway_core.tasks import cancel_and_wait
from slipway_inference.serving import metrics

log = structlog.get_logger("slipway.prediction_log")

ROWS_PER_WRITE = 1000
SECONDS_PER_WRITE = 0.5
MAX_BYTES = 64 * 1024 * 1024
BACKOFF_SECONDS = (0.5, 1.0, 2.0, 5.0)
FLUSH_SECONDS = 5.0
CLOSING_BACKOFF_SECONDS = 0.05
MAX_LOGGED_CAUSE_CHARACTERS = 500

Insert = Callable[[list[PredictionRecord]], Awaitable[None]]


class PredictionLog:
    """Takes rows from requests by `offer`, on the event loop; one task writes them."""

    def __init__(self, *, max_rows: int, max_bytes: int = MAX_BYTES) -> None:
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._rows: deque[tuple[PredictionRecord, int]] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.written = 0
        self.dropped = 0
        self.problem = ""
        """Why rows wait; empty while they are written."""

    def start(self, insert: Insert) -> None:
        """Begin to write by `insert`, which stores all rows or raises."""
        self._task = asyncio.create_task(self._write_until_closed(insert))

    @property
    def is_open(self) -> bool:
        """Whether rows are written; they need not be made otherwise."""
        return self._task is not None

    @property
    def waiting(self) -> int:
        """Number of rows that are not in the database yet."""
        return len(self._rows)

    def offer(self, row: PredictionRecord, size: int) -> None:
        """Take a row of about `size` bytes, or count it as dropped. Returns at once."""
        if len(self._rows) >= self._max_rows or self._bytes + size > self._max_bytes:
            self._count_dropped(1)
            return
        if not self._rows:
            self._wake.set()
        self._rows.append((row, size))
        self._bytes += size

    async def close(self, flush_seconds: float = FLUSH_SECONDS) -> None:
        """Write what waits, for at most `flush_seconds`; count the rest as dropped."""
        self._closing.set()
        self._wake.set()
        if self._task:
            await asyncio.wait([self._task], timeout=flush_seconds)
            if not self._task.done():
                log.warning("prediction log not flushed", code="LogRowsDropped")
            await cancel_and_wait(self._task)
        self._count_dropped(len(self._rows))
        self._rows.clear()

    async def _write_until_closed(self, insert: Insert) -> None:
        while True:
            await self._wake.wait()
            if len(self._rows) < ROWS_PER_WRITE:
                await self._pause(SECONDS_PER_WRITE)
            self._wake.clear()
            while self._rows:
                await self._write_oldest(insert)
            if self._closing.is_set():
                return

    async def _write_oldest(self, insert: Insert) -> None:
        """Write the oldest rows. They stay in the queue until the database has them, or it is known
        that it will never take them.
        """
        count = min(ROWS_PER_WRITE, len(self._rows))
        rows = [self._rows[index][0] for index in range(count)]
        attempt = 0
        while not await self._try(insert, rows):
            await self._pause(BACKOFF_SECONDS[min(attempt, len(BACKOFF_SECONDS) - 1)])
            attempt += 1
        for _ in range(count):
            self._bytes -= self._rows.popleft()[1]

    async def _try(self, insert: Insert, rows: list[PredictionRecord]) -> bool:
        """Write rows. Returns False when they should be tried again later."""
        try:
            await insert(rows)
        except InsufficientStorage as error:
            log.warning("rows are dropped", code=error.code, cause=error.message)
            self._count_dropped(len(rows))
            return True
        except SlipwayError as error:
            if error.retryable:
                if not self.problem:  # once, and not for each attempt
                    log.warning("prediction log waits", code=error.code, cause=error.message)
                self.problem = error.message
                return False
            return await self._bisect(insert, rows, error)
        except Exception as error:
            return await self._bisect(insert, rows, error)
        if self.problem:
            log.info("prediction log is written again")
        self.problem = ""
        self.written += len(rows)
        metrics.LOG_ROWS_WRITTEN.inc(len(rows))
        return True

    async def _bisect(self, insert: Insert, rows: list[PredictionRecord], error: Exception) -> bool:
        """Write the halves apart, so that only the row that the database refuses is dropped."""
        if len(rows) == 1:
            cause = str(error)[:MAX_LOGGED_CAUSE_CHARACTERS]
            log.error("a row of the prediction log was refused", cause=cause)
            self._count_dropped(1)
            return True
        middle = len(rows) // 2
        for half in (rows[:middle], rows[middle:]):
            while not await self._try(insert, half):
                await self._pause(BACKOFF_SECONDS[0])
        return True

    async def _pause(self, seconds: float) -> None:
        """Wait, but hardly while closing."""
        if self._closing.is_set():
            await asyncio.sleep(CLOSING_BACKOFF_SECONDS)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    def _count_dropped(self, count: int) -> None:
        self.dropped += count
        metrics.LOG_ROWS_DROPPED.inc(count)
