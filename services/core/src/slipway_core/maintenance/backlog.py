"""Measurement of a deployment's batch backlog."""

from __future__ import annotations

import asyncio
from math import nan

from slipway_core.errors import QueueUnavailable, StoreUnavailable
from slipway_core.maintenance.metrics import (
    CHUNKS_RUNNING,
    CHUNKS_WAITING,
    DATABASE_GAUGES,
    DEPENDENCY_UP,
    OLDEST_CHUNK_SECONDS,
    QUEUE_DEPTH,
    STORAGE_USED_RATIO,
)
from slipway_core.queue.contract import Doorbell
from slipway_core.store.capacity import Capacity, read_usage
from slipway_core.store.chunks import ChunkRepository
from slipway_core.store.postgres.database import Database


async def measure(database: Database, chunks: ChunkRepository, doorbell: Doorbell | None) -> None:
    """Set the gauges from both stores. An unavailable store is a result, not an error."""
    await asyncio.gather(
        _measure_database(database, chunks), *([_measure_queue(doorbell)] if doorbell else [])
    )


async def measure_storage(database: Database, queue: str, capacity: Capacity) -> None:
    """Set the gauges of the room for batch jobs. An unavailable database is a result."""
    try:
        async with database.transaction() as connection:
            ratios = capacity.ratios(await read_usage(connection, queue))
    except StoreUnavailable:
        STORAGE_USED_RATIO.clear()
        return
    for bound, ratio in ratios.items():
        STORAGE_USED_RATIO.labels(bound).set(ratio)


async def _measure_database(database: Database, chunks: ChunkRepository) -> None:
    try:
        await database.ping()
        backlog = await chunks.backlog()
    except StoreUnavailable:
        DEPENDENCY_UP.labels("database").set(0)
        for gauge in DATABASE_GAUGES:
            gauge.set(nan)
        return
    DEPENDENCY_UP.labels("database").set(1)
    CHUNKS_WAITING.set(backlog.waiting)
    CHUNKS_RUNNING.set(backlog.running)
    OLDEST_CHUNK_SECONDS.set(backlog.oldest_seconds)


async def _measure_queue(doorbell: Doorbell) -> None:
    try:
        await doorbell.check()
        QUEUE_DEPTH.set(await doorbell.depth())
    except QueueUnavailable:
        DEPENDENCY_UP.labels("queue").set(0)
        QUEUE_DEPTH.set(nan)
        return
    DEPENDENCY_UP.labels("queue").set(1)
