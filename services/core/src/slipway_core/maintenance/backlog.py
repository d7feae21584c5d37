"""Gauges of what batch work waits for: the backlog of a deployment's queue, and its two stores.

Inference servers export them as workers do, because workers scale to zero. So several pods tell of
the same queue: take `max by (namespace, modeldeployment)` of them, never a sum. Before the first
answer of a store, and while it is away, its figures are NaN, which no comparison holds for.
"""

from __future__ import annotations

import asyncio
from math import nan

from prometheus_client import Gauge

from slipway_core.errors import QueueUnavailable, StoreUnavailable
from slipway_core.queue.contract import Doorbell
from slipway_core.store.chunks import ChunkRepository

QUEUE_DEPTH = Gauge("slipway_batch_queue_depth", "Rings that wait or are worked on.")
CHUNKS_WAITING = Gauge("slipway_batch_chunks_waiting", "Chunks of this queue that nobody computes.")
CHUNKS_RUNNING = Gauge("slipway_batch_chunks_running", "Chunks of this queue that are computed.")
OLDEST_CHUNK_SECONDS = Gauge(
    "slipway_batch_oldest_chunk_age_seconds",
    "Age of the oldest chunk that waits; 0 when none does.",
)
DEPENDENCY_UP = Gauge(
    "slipway_dependency_up",
    "1 when the database or the queue answered when it was last asked, else 0.",
    ["dependency"],
)
_OF_THE_DATABASE = (CHUNKS_WAITING, CHUNKS_RUNNING, OLDEST_CHUNK_SECONDS)

for _gauge in (QUEUE_DEPTH, *_OF_THE_DATABASE):
    _gauge.set(nan)


async def measure(chunks: ChunkRepository, doorbell: Doorbell | None) -> None:
    """Ask both stores once and set the gauges; a store that is away is a finding, no error."""
    await asyncio.gather(
        _measure_database(chunks), *([_measure_queue(doorbell)] if doorbell else [])
    )


async def _measure_database(chunks: ChunkRepository) -> None:
    try:
        backlog = await chunks.backlog()
    except StoreUnavailable:
        DEPENDENCY_UP.labels("database").set(0)
        for gauge in _OF_THE_DATABASE:
            gauge.set(nan)
        return
    DEPENDENCY_UP.labels("database").set(1)
    CHUNKS_WAITING.set(backlog.waiting)
    CHUNKS_RUNNING.set(backlog.running)
    OLDEST_CHUNK_SECONDS.set(backlog.oldest_seconds)


async def _measure_queue(doorbell: Doorbell) -> None:
    try:
        QUEUE_DEPTH.set(await doorbell.depth())
    except QueueUnavailable:
        DEPENDENCY_UP.labels("queue").set(0)
        QUEUE_DEPTH.set(nan)
        return
    DEPENDENCY_UP.labels("queue").set(1)
