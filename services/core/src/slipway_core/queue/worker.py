"""Handling of the rings of one queue with arq, through restarts of Redis.

arq's worker ends at the first error of Redis. Here it is started again, while handlers go on
running: they take their work from PostgreSQL and do not depend on the queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import structlog
from arq.utils import timestamp_ms
from arq.worker import Retry, Worker, func
from redis.exceptions import RedisError

from slipway_core.queue.connection import decode_payload, encode_payload, open_redis
from slipway_core.queue.contract import CLAIM_CHUNK, MAX_IN_PROGRESS
from slipway_core.settings import ServiceSettings
from slipway_core.tasks import cancel_and_wait

log = structlog.get_logger("slipway.queue")

Handler = Callable[[], Awaitable[float | None]]
"""Handles one ring. Returns None when done, or the seconds after which to handle it again."""

POLL_SECONDS = 0.1
HEALTH_SECONDS = 15
RESTART_SECONDS = 1.0
CANCEL_SECONDS = 10
"""Interval between cancellations of a handler: time for it to release its chunk."""
# Practically without limit: attempts are counted in PostgreSQL.
_MAX_TRIES = 1_000_000


class _RingWorker(Worker):
    async def run_job(self, job_id: str, score: int) -> None:
        """Handle a ring; its score is no time, which the log would report as a delay."""
        await super().run_job(job_id, timestamp_ms())


class QueueWorker:
    """Takes rings from a queue and calls a handler for each.

    slots: rings handled at the same time. ring_timeout_seconds: the timeout of a handler.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        handler: Handler,
        *,
        slots: int,
        ring_timeout_seconds: float,
    ) -> None:
        self._redis = open_redis(settings)
        self._queue_name = settings.queue_name
        self._handler = handler
        self._slots = slots
        self._ring_timeout_seconds = ring_timeout_seconds
        self._handling: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    async def run(self, stop: asyncio.Event, drain_seconds: float) -> None:
        """Handle rings until `stop` is set, then wait up to `drain_seconds` for running handlers.

        Handlers that run longer are cancelled.
        """
        self._stopping = stop
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                await self._run_worker(stopping, drain_seconds)
        finally:
            stopping.cancel()
            # Handlers of an earlier worker, which lost its connection to the queue.
            await self._drain(drain_seconds)
            await self._redis.aclose(close_connection_pool=True)

    async def _run_worker(self, stopping: asyncio.Task[Any], drain_seconds: float) -> None:
        """Run an arq worker until it fails or `stopping` ends."""
        worker = self._create_worker()
        polling = asyncio.create_task(worker.main())
        await asyncio.wait({polling, stopping}, return_when=asyncio.FIRST_COMPLETED)
        worker.allow_pick_jobs = False
        self._adopt_handlers(worker)
        if not polling.done():
            await self._drain(drain_seconds)
            await cancel_and_wait(polling)
        error = None if polling.cancelled() else polling.exception()
        self._adopt_handlers(worker)
        if stopping.done():
            return
        if not isinstance(error, (RedisError, OSError, asyncio.TimeoutError)):
            log.error("the queue worker failed", error=repr(error))
        else:
            log.warning("the queue does not answer", error=type(error).__name__)
        await asyncio.wait({stopping}, timeout=RESTART_SECONDS)

    def _create_worker(self) -> Worker:
        return _RingWorker(
            functions=[func(self._handle, name=CLAIM_CHUNK)],
            queue_name=self._queue_name,
            redis_pool=self._redis,
            handle_signals=False,
            max_jobs=self._slots,
            # Rings in progress are the oldest: a lower limit could return only these.
            queue_read_limit=MAX_IN_PROGRESS + self._slots,
            job_timeout=self._ring_timeout_seconds,
            keep_result=0,
            poll_delay=POLL_SECONDS,
            max_tries=_MAX_TRIES,
            health_check_interval=HEALTH_SECONDS,
            job_serializer=encode_payload,
            job_deserializer=decode_payload,
            log_results=False,
        )

    async def _handle(self, ctx: dict[Any, Any]) -> None:
        pause = await self._handler()
        if pause is None:
            return
        # The pause is here and not in the queue, whose times would be compared with other clocks.
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._stopping.wait()
        raise Retry

    def _adopt_handlers(self, worker: Worker) -> None:
        """Keep track of running handlers, which outlive their worker."""
        for task in worker.tasks.values():
            if task not in self._handling:
                self._handling.add(task)
                task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._handling.discard(task)
        if not task.cancelled():
            # Marks it as retrieved. arq could not remove the ring, which does no harm.
            task.exception()

    async def _drain(self, seconds: float) -> None:
        if self._handling and seconds:
            await asyncio.wait(self._handling, timeout=seconds)
        await cancel_and_wait(*self._handling, every_seconds=CANCEL_SECONDS)
