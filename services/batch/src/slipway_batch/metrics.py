"""Prometheus metrics of a batch worker; `slipway_core.maintenance` has the metrics of its queue."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

ITEMS = Counter(
    "slipway_batch_job_items",
    "Inputs of batch jobs by outcome: ok, or the code of the error.",
    ["status"],
)
CHUNKS = Counter(
    "slipway_batch_chunks",
    "Chunks by outcome: done, refused (the lease was lost), released, failed.",
    ["outcome"],
)
CHUNK_SECONDS = Histogram(
    "slipway_batch_chunk_seconds",
    "Time from the claim of a chunk to its stored results, including waits for an engine.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)

# A rate needs a first sample: an alert fires when no chunks are done.
ITEMS.labels("ok")
for _outcome in ("done", "refused", "released", "failed"):
    CHUNKS.labels(_outcome)
