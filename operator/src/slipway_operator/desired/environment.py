"""Environment variables of a ModelDeployment's containers.

A contract test compares them with the settings of the services, which the operator does not import.
"""

from __future__ import annotations

from decimal import Decimal

from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.api.v1alpha1.model_runtime import Resources
from slipway_operator.api.v1alpha1.quantities import parse_quantity
from slipway_operator.configuration import Platform
from slipway_operator.desired.names import (
    CACHE_FOLDER,
    CLAIMS_FOLDER,
    CREDENTIALS_FOLDER,
    HTTP_PORT,
    METRICS_PORT,
    SECRETS_FOLDER,
)
from slipway_operator.desired.resources import get_batch_resources, uses_gpu

DOWNLOADED_SCHEMES = frozenset({"http", "https", "s3", "hf"})
DRAIN_DELAY_SECONDS = 5
"""Time for which a terminating pod accepts new requests, until its endpoint leaves the route."""
WORKER_DRAIN_SECONDS = 15
"""Time for which a terminating worker continues its chunk before it releases the lease."""
SHUTDOWN_MARGIN_SECONDS = 2
"""Time for which a pod may still shut down after draining, until it is killed.

The whole grace period is at most 20 s by default. Kubernetes checks a deleted namespace again after
half the grace period of a remaining pod, and the namespace should be gone within 30 s.
"""

MAX_DATABASE_PART = Decimal("0.75")
"""Part of PostgreSQL's volume that the database may take. The rest is for its log."""
MAX_REQUEST_TIMEOUT_SECONDS = 300
"""Longest timeout that a request may set itself, unless the model's default is longer."""
ROUTE_MARGIN_SECONDS = 5
"""Time by which a route waits longer than the server, so that the server's own error arrives."""

Environment = dict[str, str]


def is_downloaded(md: ModelDeployment) -> bool:
    """Return whether the package is downloaded, rather than part of the image or a volume."""
    return md.spec.model.uri.partition("://")[0] in DOWNLOADED_SCHEMES


def is_fetched(md: ModelDeployment) -> bool:
    """Return whether a container fills the cache before the server starts, which only reads it.

    Beside downloads these are archives on a volume or in the image: their names have a suffix.
    """
    scheme, _, path = md.spec.model.uri.partition("://")
    return is_downloaded(md) or (scheme in ("file", "pvc") and "." in path.rpartition("/")[2])


def max_request_seconds(md: ModelDeployment) -> int:
    """Return the longest timeout that a request may set, seconds."""
    return max(MAX_REQUEST_TIMEOUT_SECONDS, md.spec.runtime.request_timeout_seconds)


def build_model_environment(md: ModelDeployment, platform: Platform) -> Environment:
    """Return what a container needs to find and verify the model."""
    model = md.spec.model
    return {
        "SLIPWAY_NAMESPACE": md.namespace,
        "SLIPWAY_DEPLOYMENT": md.name,
        "SLIPWAY_LOG_LEVEL": platform.model_log_level,
        "SLIPWAY_MODEL_URI": model.uri,
        "SLIPWAY_MODEL_SHA256": model.sha256 or "",
        "SLIPWAY_MODEL_NAME": md.name,
        "SLIPWAY_MODEL_VERSION": model.version or "",
        "SLIPWAY_MODEL_CACHE": CACHE_FOLDER,
        "SLIPWAY_PVC_ROOT": CLAIMS_FOLDER,
        "SLIPWAY_ALLOW_PICKLE": str(model.allow_pickle).lower(),
    }


def build_download_environment(md: ModelDeployment, platform: Platform) -> Environment:
    """Return the environment of the container that downloads the model."""
    environment = build_model_environment(md, platform)
    if md.spec.model.credentials_secret_ref:
        environment["AWS_SHARED_CREDENTIALS_FILE"] = f"{CREDENTIALS_FOLDER}/credentials"
        environment["HF_TOKEN_PATH"] = f"{CREDENTIALS_FOLDER}/token"
    return environment


def _build_engine_environment(
    md: ModelDeployment, platform: Platform, resources: Resources
) -> Environment:
    runtime = md.spec.runtime
    device: str = "auto" if runtime.device == "cuda" else runtime.device
    if uses_gpu(resources):
        # Fail at startup if the reserved GPU is missing, rather than compute on the CPU unnoticed.
        device = "cuda"
    has_secrets = platform.database_secret or platform.redis_secret or platform.webhook_secret
    return {
        **build_model_environment(md, platform),
        # The init container downloads the package. The server does not have its credentials.
        **({"SLIPWAY_MODEL_OFFLINE": "true"} if is_downloaded(md) else {}),
        **({"SLIPWAY_SECRETS_DIR": SECRETS_FOLDER} if has_secrets else {}),
        **_build_sandbox_environment(md, platform),
        "SLIPWAY_DEVICE": device,
        "SLIPWAY_PRECISION": runtime.precision,
        "SLIPWAY_ENGINES": str(runtime.engines),
        "SLIPWAY_THREADS": str(runtime.threads),
        "SLIPWAY_MAX_BATCH_TOKENS": str(runtime.max_batch_tokens),
        "SLIPWAY_METRICS_HOST": "*",  # a cluster may have IPv4, IPv6 or both
        "SLIPWAY_METRICS_PORT": str(METRICS_PORT),
        "SLIPWAY_RETENTION_DAYS": str(platform.retention_days),
        **_build_database_environment(platform),
        **_build_webhook_environment(platform),
    }


def _build_sandbox_environment(md: ModelDeployment, platform: Platform) -> Environment:
    sandbox = md.spec.runtime.sandbox
    is_required = platform.sandbox == "required"
    return {
        "SLIPWAY_SANDBOX": platform.sandbox if is_required else sandbox.mode or platform.sandbox,
        "SLIPWAY_SANDBOX_NETWORK": "true" if sandbox.network else "",
        "SLIPWAY_SANDBOX_READ": ":".join(sandbox.read_paths),
        "SLIPWAY_SANDBOX_WRITE": ":".join(sandbox.write_paths),
    }


def _build_database_environment(platform: Platform) -> Environment:
    if not platform.database_volume_size:
        return {}
    max_bytes = int(parse_quantity(platform.database_volume_size) * MAX_DATABASE_PART)
    return {"SLIPWAY_DATABASE_MAX_BYTES": str(max_bytes)}


def _build_webhook_environment(platform: Platform) -> Environment:
    hosts = platform.webhook_allowed_hosts
    return {"SLIPWAY_WEBHOOK_ALLOWED_HOSTS": ",".join(hosts)} if hosts else {}


def build_inference_environment(md: ModelDeployment, platform: Platform) -> Environment:
    """Return the environment of the inference server."""
    runtime = md.spec.runtime
    timeout = runtime.request_timeout_seconds
    return {
        **_build_engine_environment(md, platform, runtime.resources),
        "SLIPWAY_HOST": "*",  # a cluster may have IPv4, IPv6 or both
        "SLIPWAY_PORT": str(HTTP_PORT),
        "SLIPWAY_CORS_ORIGINS": ",".join(platform.cors_origins),
        "SLIPWAY_PAYLOAD_LOGGING": platform.payload_logging,
        "SLIPWAY_MAX_QUEUE_TOKENS": str(runtime.max_queue_tokens),
        "SLIPWAY_REQUEST_TIMEOUT_SECONDS": str(timeout),
        "SLIPWAY_MAX_REQUEST_TIMEOUT_SECONDS": str(max_request_seconds(md)),
        "SLIPWAY_MAX_STREAM_BYTES": str(md.spec.route.max_request_mebibytes * 1024 * 1024),
        "SLIPWAY_DRAIN_DELAY_SECONDS": str(DRAIN_DELAY_SECONDS),
        "SLIPWAY_DRAIN_TIMEOUT_SECONDS": str(timeout),
    }


def build_batch_environment(md: ModelDeployment, platform: Platform) -> Environment:
    """Return the environment of a batch worker."""
    return {
        **_build_engine_environment(md, platform, get_batch_resources(md)),
        "SLIPWAY_DRAIN_SECONDS": str(WORKER_DRAIN_SECONDS),
    }
