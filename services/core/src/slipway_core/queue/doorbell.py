"""Rings for workers, and counts what rings there are."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import Self

from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix, job_key_prefix, retry_key_prefix
from arq.jobs import serialize_job
from redis.exceptions import RedisError

from slipway_core.errors import QueueUnavailable
from slipway_core.queue.connection import (
    RING_LIFETIME_MILLISECONDS,
    encode_payload,
    open_redis,
)
from slipway_core.queue.contract import CLAIM_CHUNK, MOST_IN_PROGRESS
from slipway_core.settings import ServiceSettings

_RINGS_AT_ONCE = 500


class ArqDoorbell:
    """The Doorbell of one deployment's queue, in the form that arq's workers understand."""

    def __init__(self, redis: ArqRedis, queue_name: str) -> None:
        self._redis = redis
        self._queue_name = queue_name

    @classmethod
    async def connect(cls, settings: ServiceSettings) -> Self:
        """Connects at first use, so it succeeds while Redis is away. Raises InvalidSettings."""
        return cls(open_redis(settings), settings.queue_name)

    async def ring(self, rings: list[str]) -> None:
        """Announce chunks by their `ring_id`. A ring that is there already stays as it is.

        Raises QueueUnavailable; the sweeper then rings later.
        """
        remaining = iter(rings)
        async with _translated():
            while some := list(islice(remaining, _RINGS_AT_ONCE)):
                await self._ring_some(some)

    async def depth(self) -> int:
        """How many rings are waiting or being worked on. Raises QueueUnavailable."""
        async with _translated():
            depth: int = await self._redis.zcard(self._queue_name)
            return depth

    async def waiting(self) -> int:
        """How many rings no worker has taken yet. Raises QueueUnavailable."""
        async with _translated():
            oldest = await self._redis.zrange(self._queue_name, 0, MOST_IN_PROGRESS - 1)
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.zcard(self._queue_name)
                for ring in oldest:
                    pipe.exists(in_progress_key_prefix + ring.decode())
                depth, *taken = await pipe.execute()
        untaken: int = depth - sum(taken)
        return untaken

    async def oldest(self) -> list[str]:
        """The oldest rings, waiting or being worked on. Raises QueueUnavailable."""
        async with _translated():
            found = await self._redis.zrange(self._queue_name, 0, _RINGS_AT_ONCE - 1)
            return [ring.decode() for ring in found]

    async def withdraw(self, rings: list[str]) -> None:
        """Take rings back, whoever works on them. Raises QueueUnavailable."""
        prefixes = (job_key_prefix, in_progress_key_prefix, retry_key_prefix)
        async with _translated(), self._redis.pipeline(transaction=True) as pipe:
            pipe.zrem(self._queue_name, *rings)
            pipe.delete(*(prefix + ring for ring in rings for prefix in prefixes))
            await pipe.execute()

    async def ping(self) -> None:
        """Raises QueueUnavailable when Redis does not answer."""
        async with _translated():
            await self._redis.ping()

    async def close(self) -> None:
        """Give back the connections."""
        await self._redis.aclose(close_connection_pool=True)

    async def _ring_some(self, rings: list[str]) -> None:
        now = time.time_ns() // 1_000_000
        payload = serialize_job(CLAIM_CHUNK, (), {}, None, now, serializer=encode_payload)
        async with self._redis.pipeline(transaction=True) as pipe:
            for ring in rings:
                pipe.set(job_key_prefix + ring, payload, px=RING_LIFETIME_MILLISECONDS, nx=True)
                pipe.zadd(self._queue_name, {ring: now}, nx=True)
            await pipe.execute()


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise QueueUnavailable(
            f"the batch queue does not answer ({type(error).__name__}): try again in a moment",
            retry_after_seconds=5,
        ) from error
