"""Names that a ModelDeployment's objects and containers have, all in one place."""

from __future__ import annotations

SERVER_CONTAINER = "server"
WORKER_CONTAINER = "worker"
FETCH_CONTAINER = "fetch-model"

HTTP_PORT_NAME = "http"
HTTP_PORT = 8000
METRICS_PORT_NAME = "metrics"
METRICS_PORT = 9000

LIVENESS_PATH = "/livez"
READINESS_PATH = "/readyz"
METRICS_PATH = "/metrics"
SUMMARY_PATH = "/health"
"""Says, among other things, which `version` is served."""

CACHE_FOLDER = "/var/cache/slipway/models"
SECRETS_FOLDER = "/var/run/slipway/secrets"
CREDENTIALS_FOLDER = "/var/run/slipway/credentials"
CLAIMS_FOLDER = "/pvc"

PUBLIC_PATHS = ("/predict", "/v1", "/v2", "/health", "/docs", "/openapi.json")
"""What a route lets through: the prediction log, probes and metrics stay inside the cluster."""


def batch_name(name: str) -> str:
    """Name of the batch workers' objects; a rule of the API keeps it free."""
    return f"{name}-batch"


def queue_name(namespace: str, name: str) -> str:
    """The sorted set of Redis on which batch work of this ModelDeployment is announced."""
    return f"slipway:{namespace}:{name}"
