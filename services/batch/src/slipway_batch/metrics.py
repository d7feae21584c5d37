"""Prometheus metrics of a batch worker; its queue's are in `slipway_core.maintenance.backlog`."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

ITEMS = Counter(
    "slipway_batch_job_items",
    "Inputs of batch jobs by how they ended: ok, or the code of the error.",
    ["status"],
)
CHUNKS = Counter(
    "slipway_batch_chunks",
    "Chunks by how this worker ended them: done, refused (no longer its own), released, failed.",
    ["outcome"],
)
CHUNK_SECONDS = Histogram(
    "slipway_batch_chunk_seconds",
    "From the claim of a chunk to its stored results, waiting for an engine included.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)

# A rate needs a series to begin with: alerts look for chunks that are not done.
ITEMS.labels("ok")
for _outcome in ("done", "refused", "released", "failed"):
    CHUNKS.labels(_outcome)
