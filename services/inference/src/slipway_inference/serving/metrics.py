"""Metrics of the served model, its queue, and the prediction log."""

from __future__ import annotations

from prometheus_client import Gauge

from slipway_core.observability.collectors import LATENCY_SECONDS, Counter, Histogram

BATCH_TOKENS = Histogram(
    "slipway_batch_tokens",
    "Tokens (for tensors: rows) of one batch.",
    buckets=(1, 8, 32, 128, 512, 1024, 2048, 4096, 8192, 16384, 65536),
).labels()
BATCH_ITEMS = Histogram(
    "slipway_batch_items",
    "Inputs of one batch.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
).labels()
BATCH_COMPUTE = Histogram(
    "slipway_batch_compute_seconds",
    "Time that an engine computed one batch.",
    buckets=LATENCY_SECONDS,
).labels()
QUEUE_WAIT = Histogram(
    "slipway_queue_wait_seconds",
    "Maximum time in the queue of the inputs of a batch.",
    buckets=LATENCY_SECONDS,
).labels()
QUEUE_TOKENS = Gauge("slipway_queue_tokens", "Tokens that wait for an engine.")
REQUESTS_IN_FLIGHT = Gauge(
    "slipway_requests_in_flight", "Realtime requests that wait for the model."
)
_LOOP_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10)
LOOP_DELAY = Histogram(
    "slipway_event_loop_delay_seconds",
    "How late the event loop ran what was due.",
    buckets=_LOOP_SECONDS,
).labels()
LOOP_HELD = Histogram(
    "slipway_event_loop_held_seconds",
    "The part of that delay in which the server itself computed, instead of waiting for a core.",
    buckets=_LOOP_SECONDS,
).labels()
LOG_ROWS_WRITTEN = Counter(
    "slipway_prediction_log_rows_written", "Rows of the prediction log stored in PostgreSQL."
).labels()
LOG_ROWS_DROPPED = Counter(
    "slipway_prediction_log_rows_dropped",
    "Rows of the prediction log dropped because PostgreSQL was unavailable or too slow.",
).labels()
MODEL_INFO = Gauge(
    "slipway_model_info",
    "1, with the served model as labels.",
    ["model", "version", "digest", "device", "precision"],
)
MODEL_PRECISION_INFO = Gauge(
    "slipway_model_precision_info",
    "1, with the number format of the model and the reason for it, one of a few fixed phrases.",
    ["precision", "reason"],
)
MODEL_LOAD = Gauge("slipway_model_load_seconds", "Time that an engine took to load the model.")
