"""Answers the rings of one queue with arq, and keeps doing so when Redis goes away and comes back.

arq's worker ends at the first error of Redis. Here it is started again, while what it was computing
goes on; the handler decides everything else, because it reads the truth from PostgreSQL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from arq.worker import Retry, Worker, func
from redis.exceptions import RedisError

from slipway_core.queue.connection import decode_payload, encode_payload, open_redis
from slipway_core.queue.contract import CLAIM_CHUNK, MOST_IN_PROGRESS
from slipway_core.settings import ServiceSettings
from slipway_core.tasks import cancel_and_wait

log = structlog.get_logger("slipway.queue")

Handler = Callable[[], Awaitable[float | None]]
"""Answers one ring; returns None when done, or after how many seconds to be rung again."""

POLL_SECONDS = 0.1
HEALTH_SECONDS = 15
RESTART_SECONDS = 1.0
# Rings are tried until they are answered: attempts are counted in PostgreSQL.
_MOST_TRIES = 1_000_000


class QueueWorker:
    """Takes rings from a queue and has a handler answer them.

    slots: rings that are answered at once. ring_timeout_seconds: longest time a handler may take.
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
        self._answering: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event, drain_seconds: float) -> None:
        """Answer rings until `stop` is set; then finish what runs within `drain_seconds`.

        What is not finished by then is cancelled, so handlers see CancelledError.
        """
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                await self._serve(stopping, drain_seconds)
        finally:
            stopping.cancel()
            # What a worker left behind that had lost its queue.
            await self._finish(drain_seconds)
            await self._redis.aclose(close_connection_pool=True)

    async def _serve(self, stopping: asyncio.Task[Any], drain_seconds: float) -> None:
        """Run one arq worker until it fails or everything stops."""
        worker = self._make_worker()
        polling = asyncio.create_task(worker.main())
        await asyncio.wait({polling, stopping}, return_when=asyncio.FIRST_COMPLETED)
        worker.allow_pick_jobs = False
        self._adopt(worker)
        if not polling.done():
            await self._finish(drain_seconds)
            await cancel_and_wait(polling)
        error = None if polling.cancelled() else polling.exception()
        self._adopt(worker)
        if stopping.done():
            return
        if not isinstance(error, (RedisError, OSError, asyncio.TimeoutError)):
            log.error("the queue's worker failed", error=repr(error))
        else:
            log.warning("the queue does not answer", error=type(error).__name__)
        await asyncio.wait({stopping}, timeout=RESTART_SECONDS)

    def _make_worker(self) -> Worker:
        return Worker(
            functions=[func(self._answer, name=CLAIM_CHUNK)],
            queue_name=self._queue_name,
            redis_pool=self._redis,
            handle_signals=False,
            max_jobs=self._slots,
            # Taken rings are the oldest: a worker that read fewer would see none but these.
            queue_read_limit=MOST_IN_PROGRESS + self._slots,
            job_timeout=self._ring_timeout_seconds,
            keep_result=0,
            poll_delay=POLL_SECONDS,
            max_tries=_MOST_TRIES,
            health_check_interval=HEALTH_SECONDS,
            job_serializer=encode_payload,
            job_deserializer=decode_payload,
            log_results=False,
        )

    async def _answer(self, ctx: dict[Any, Any]) -> None:
        pause = await self._handler()
        if pause is not None:
            raise Retry(defer=pause)

    def _adopt(self, worker: Worker) -> None:
        """Keep the rings that a worker is answering, which outlive it."""
        for task in worker.tasks.values():
            if task not in self._answering:
                self._answering.add(task)
                task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._answering.discard(task)
        if not task.cancelled():
            task.exception()  # seen: arq could not note the end of a ring, which does no harm

    async def _finish(self, seconds: float) -> None:
        if self._answering and seconds:
            await asyncio.wait(self._answering, timeout=seconds)
        # Time enough for a handler to give back what it holds.
        await cancel_and_wait(*self._answering, every_seconds=10)
