"""What the operator is told by its environment (`SLIPWAY_OPERATOR_*`), set by the Helm chart.

`Platform` is what the builders need to know about the installation; `OperatorSettings` adds what
concerns the operator's own process. Neither holds a secret: only names of Secrets.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Platform(BaseSettings):
    """The installation that ModelDeployments become part of."""

    model_config = SettingsConfigDict(env_prefix="SLIPWAY_OPERATOR_", extra="ignore", frozen=True)

    inference_image: str = Field("slipway-inference:dev", description="Image of inference pods.")
    inference_cuda_image: str = Field(
        "", description="Image of inference pods on a GPU; empty takes the ordinary one."
    )
    batch_image: str = Field("slipway-batch:dev", description="Image of batch workers.")
    batch_cuda_image: str = Field(
        "", description="Image of batch workers on a GPU; empty takes the ordinary one."
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="When nodes fetch the images."
    )
    image_pull_secrets: tuple[str, ...] = Field(
        (), description='Secrets for private registries, as JSON: ["name"].'
    )
    model_log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log line of inference pods and batch workers."
    )

    database_secret: str = Field(
        "", description="Secret with PostgreSQL's address; empty: predictions are not stored."
    )
    database_secret_key: str = Field("url", description="Key of the address in it.")
    database_port: int = Field(5432, ge=1, le=65535, description="PostgreSQL's port.")
    redis_secret: str = Field("", description="Secret with Redis's address; empty: no batch.")
    redis_secret_key: str = Field("url", description="Key of the address in it.")
    redis_password_key: str = Field(
        "password", description="Key of the password alone, for KEDA; empty: no password."
    )
    redis_username_key: str = Field(
        "", description="Key of the user name alone, for KEDA; empty: no user name."
    )
    redis_tls: bool = Field(False, description="Redis is reached over TLS, for KEDA.")
    redis_address: str = Field("", description="host:port of Redis, for KEDA.")
    redis_database: int = Field(0, ge=0, le=1024, description="Redis's database, for KEDA.")
    redis_port: int = Field(6379, ge=1, le=65535, description="Redis's port.")

    payload_logging: Literal["none", "input", "all"] = Field(
        "all", description="What the prediction log keeps: none, the input, or all."
    )
    retention_days: int = Field(
        90, ge=1, le=36_500, description="Days to keep predictions and batch jobs."
    )
    webhook_secret: str = Field(
        "", description="Secret with the key that signs webhooks; empty: webhooks are refused."
    )
    webhook_secret_key: str = Field("secret", description="Key of the signing key in it.")
    webhook_allowed_hosts: tuple[str, ...] = Field(
        (), description='Hosts that webhooks may call on private addresses too, as JSON: ["name"].'
    )

    routing: Literal["nginx", "gateway", "none"] = Field(
        "nginx", description="Routes as Ingress with nginx annotations, as HTTPRoute, or none."
    )
    ingress_class: str = Field("nginx", description="IngressClass of the routes.")
    default_host: str = Field(
        "", description="Host of routes that name none; empty answers at any host."
    )
    default_tls_secret: str = Field(
        "", description="Secret with the default host's certificate; empty: plain HTTP."
    )
    external_url: str = Field(
        "",
        description="scheme://host:port under which people reach the default host, for status.url.",
    )
    gateway_name: str = Field("public", description="Gateway that HTTPRoutes attach to.")
    gateway_namespace: str = Field("gateway", description="Namespace of that Gateway.")
    network_policies: bool = Field(True, description="Create NetworkPolicies for model pods.")
    service_monitors: bool = Field(
        True, description="Create ServiceMonitors where the Prometheus Operator is installed."
    )
    monitor_labels: dict[str, str] = Field(
        {}, description='Labels of ServiceMonitors, as JSON: {"release": "prometheus"}.'
    )


class OperatorSettings(Platform):
    """The operator's own process."""

    namespaces: tuple[str, ...] = Field(
        (), description='Namespaces to serve, as JSON: ["models"]; empty serves all.'
    )
    concurrency: int = Field(8, ge=1, le=128, description="Reconciliations at one time.")
    resync_seconds: float = Field(
        300, gt=0, le=86400, description="Time between two looks at everything, watches aside."
    )
    discovery_seconds: float = Field(
        30, gt=0, le=3600, description="Time between two looks for KEDA, Prometheus and classes."
    )
    port: int = Field(8080, ge=0, le=65535, description="Port of /metrics, /healthz and /readyz.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log line of the operator itself."
    )
