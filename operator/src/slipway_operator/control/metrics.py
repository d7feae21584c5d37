"""The operator's own metrics."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RECONCILE_SECONDS = Histogram(
    "slipway_operator_reconcile_seconds",
    "Time of one reconciliation of one ModelDeployment.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
RECONCILE_ERRORS = Counter(
    "slipway_operator_reconcile_errors",
    "Reconciliations that met a problem, by reason; Unavailable ones are tried again.",
    ["reason"],
)
WRITES = Counter("slipway_operator_writes", "Objects written to the API server.", ["kind", "verb"])
QUEUE_DEPTH = Gauge(
    "slipway_operator_queue_depth", "ModelDeployments that wait for a reconciliation."
)
MANAGED_OBJECTS = Gauge(
    "slipway_operator_managed_objects", "Objects that the operator keeps.", ["kind"]
)
MODEL_DEPLOYMENT_READY = Gauge(
    "slipway_operator_modeldeployment_ready",
    "1 when Ready is True, else 0; none of a ModelDeployment that is stopped (no replica wanted).",
    ["namespace", "name"],
)
MODEL_DEPLOYMENTS = Gauge(
    "slipway_operator_model_deployments", "ModelDeployments by the state of Ready.", ["ready"]
)
