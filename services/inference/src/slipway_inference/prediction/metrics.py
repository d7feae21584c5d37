"""Metrics of realtime predictions.

Label values are bounded: modalities and error codes are closed lists.
"""

from __future__ import annotations

from slipway_core.observability.collectors import LATENCY_SECONDS, Counter, Histogram

PREDICTION_REQUESTS = Counter(
    "prediction_requests",
    "Realtime prediction requests by status (ok or error) and error code (empty for ok).",
    ["modality", "status", "code"],
)
PREDICTION_LATENCY = Histogram(
    "prediction_latency_seconds",
    "Time from the headers of a request to its response, for successful realtime predictions.",
    ["modality"],
    buckets=LATENCY_SECONDS,
)
