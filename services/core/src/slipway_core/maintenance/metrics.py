"""Prometheus metrics of a deployment's batch backlog and of the stores it depends on.

Inference servers export them as workers do, because workers scale to zero. Several pods thus report
the same queue: aggregate with `max by (namespace, modeldeployment)`, never with a sum. The values
of a store are NaN, which satisfies no comparison, until it has answered and while it is
unavailable.
"""

from __future__ import annotations

from math import nan

from prometheus_client import Gauge

QUEUE_DEPTH = Gauge("slipway_batch_queue_depth", "Rings that wait or are being handled.")
CHUNKS_WAITING = Gauge("slipway_batch_chunks_waiting", "Chunks of this queue that wait.")
CHUNKS_RUNNING = Gauge("slipway_batch_chunks_running", "Chunks of this queue leased by a worker.")
OLDEST_CHUNK_SECONDS = Gauge(
    "slipway_batch_oldest_chunk_age_seconds",
    "Age of the oldest waiting chunk; 0 when none waits.",
)
STORAGE_USED_RATIO = Gauge(
    "slipway_batch_storage_used_ratio",
    "Used part of the room for batch jobs by bound: items and bytes of the backlog, database.",
    ["bound"],
)
DATABASE_GAUGES = (CHUNKS_WAITING, CHUNKS_RUNNING, OLDEST_CHUNK_SECONDS)
DEPENDENCY_UP = Gauge(
    "slipway_dependency_up",
    "1 when the database or the queue responded to the last check and accepts writes, else 0.",
    ["dependency"],
)

for _gauge in (QUEUE_DEPTH, *DATABASE_GAUGES):
    _gauge.set(nan)
