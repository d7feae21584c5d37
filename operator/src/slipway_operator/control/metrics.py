"""Metrics of the operator."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RECONCILE_SECONDS = Histogram(
    "slipway_operator_reconcile_seconds",
    "Duration of a reconciliation, seconds.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
RECONCILE_ERRORS = Counter(
    "slipway_operator_reconcile_errors",
    "Problems of reconciliations by reason; those with Unavailable are retried.",
    ["reason"],
)
WRITES = Counter("slipway_operator_writes", "Objects written to the API server.", ["kind", "verb"])
QUEUE_DEPTH = Gauge(
    "slipway_operator_queue_depth", "ModelDeployments that are queued for or in a reconciliation."
)
MANAGED_OBJECTS = Gauge(
    "slipway_operator_managed_objects", "Objects that the operator manages.", ["kind"]
)
MODEL_DEPLOYMENT_READY = Gauge(
    "slipway_operator_modeldeployment_ready",
    "1 while Ready is True, otherwise 0; absent while the ModelDeployment is stopped.",
    ["namespace", "name"],
)
MODEL_DEPLOYMENTS = Gauge(
    "slipway_operator_model_deployments", "ModelDeployments by the status of Ready.", ["ready"]
)
