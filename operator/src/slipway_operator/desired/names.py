"""Names, ports and paths of a ModelDeployment's objects and containers."""

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
"""Path of a summary that includes the `version` of the served model."""

STATUS_PATH = "/predict/status"
"""Path of jobs, whose progress and results are streams of any duration."""

CACHE_FOLDER = "/var/cache/slipway/models"
SECRETS_FOLDER = "/var/run/slipway/secrets"
CREDENTIALS_FOLDER = "/var/run/slipway/credentials"
CLAIMS_FOLDER = "/pvc"

PUBLIC_PATHS = ("/predict", "/v1", "/v2", "/health", "/docs", "/openapi.json")
"""Path prefixes that routes expose. The prediction log, probes and metrics stay internal."""


def batch_name(name: str) -> str:
    """Return the name of the workers' objects. No ModelDeployment can have such a name."""
    return f"{name}-batch"


def queue_name(namespace: str, name: str) -> str:
    """Return the name of the sorted set in Redis that is the queue of a ModelDeployment."""
    return f"slipway:{namespace}:{name}"
