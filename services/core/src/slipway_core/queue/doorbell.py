"""The doorbell of a deployment, with rings in the format of arq's workers."""

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
    describe_failure,
    encode_payload,
    open_redis,
)
from slipway_core.queue.contract import CLAIM_CHUNK, MAX_IN_PROGRESS, Doorbell
from slipway_core.settings import ServiceSettings

_RINGS_PER_REQUEST = 500
_CHECK_SECONDS = 60
"""Lifetime of the key that a check writes."""
_SCORE = 1
"""Score of every ring. Workers compare scores with their clocks, as if they were times, and take no
0. A constant makes rings due at once whichever clock is wrong; PostgreSQL decides which work is
oldest. Rings of one score are in the order of their ids.
"""


class ArqDoorbell(Doorbell):
    """A doorbell on a sorted set in Redis, named like the queue."""

    def __init__(self, redis: ArqRedis, queue_name: str) -> None:
        self._redis = redis
        self._queue_name = queue_name

    @classmethod
    async def connect(cls, settings: ServiceSettings) -> Self:
        """Return a doorbell that connects at first use. Raises InvalidSettings."""
        return cls(open_redis(settings), settings.queue_name)

    async def ring(self, rings: list[str]) -> None:
        remaining = iter(rings)
        async with _translate_errors():
            while batch := list(islice(remaining, _RINGS_PER_REQUEST)):
                await self._ring_batch(batch)

    async def check(self) -> None:
        async with _translate_errors():
            await self._redis.set(f"{self._queue_name}:check", 1, ex=_CHECK_SECONDS)

    async def depth(self) -> int:
        async with _translate_errors():
            depth: int = await self._redis.zcard(self._queue_name)
            return depth

    async def waiting(self) -> int:
        async with _translate_errors():
            oldest = await self._redis.zrange(self._queue_name, 0, MAX_IN_PROGRESS - 1)
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.zcard(self._queue_name)
                for ring in oldest:
                    pipe.exists(in_progress_key_prefix + ring.decode())
                depth, *in_progress = await pipe.execute()
        waiting: int = depth - sum(in_progress)
        return waiting

    async def oldest(self) -> list[str]:
        async with _translate_errors():
            rings = await self._redis.zrange(self._queue_name, 0, _RINGS_PER_REQUEST - 1)
            return [ring.decode() for ring in rings]

    async def withdraw(self, rings: list[str]) -> None:
        prefixes = (job_key_prefix, in_progress_key_prefix, retry_key_prefix)
        async with _translate_errors(), self._redis.pipeline(transaction=True) as pipe:
            pipe.zrem(self._queue_name, *rings)
            pipe.delete(*(prefix + ring for ring in rings for prefix in prefixes))
            await pipe.execute()

    async def close(self) -> None:
        await self._redis.aclose(close_connection_pool=True)

    async def _ring_batch(self, rings: list[str]) -> None:
        now = time.time_ns() // 1_000_000
        payload = serialize_job(CLAIM_CHUNK, (), {}, None, now, serializer=encode_payload)
        async with self._redis.pipeline(transaction=True) as pipe:
            for ring in rings:
                pipe.set(job_key_prefix + ring, payload, px=RING_LIFETIME_MILLISECONDS, nx=True)
                pipe.zadd(self._queue_name, {ring: _SCORE}, nx=True)
            await pipe.execute()


@asynccontextmanager
async def _translate_errors() -> AsyncIterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise QueueUnavailable(describe_failure(error), retry_after_seconds=5) from error
