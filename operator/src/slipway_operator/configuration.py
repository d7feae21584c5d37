"""Settings from the environment (`SLIPWAY_OPERATOR_*`), which the Helm chart sets.

`Platform` describes the installation, for the builders. `OperatorSettings` adds the settings of the
operator's process. Both contain names of Secrets and never a secret itself.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Platform(BaseSettings):
    """Settings of the installation in which ModelDeployments run."""

    model_config = SettingsConfigDict(env_prefix="SLIPWAY_OPERATOR_", extra="ignore", frozen=True)

    inference_image: str = Field("slipway-inference:dev", description="Image of inference pods.")
    inference_cuda_image: str = Field(
        "", description="Image of inference pods on a GPU; empty: `inference_image`."
    )
    batch_image: str = Field("slipway-batch:dev", description="Image of batch workers.")
    batch_cuda_image: str = Field(
        "", description="Image of batch workers on a GPU; empty: `batch_image`."
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="When nodes pull the images."
    )
    image_pull_secrets: tuple[str, ...] = Field(
        (), description='Pull secrets for private registries, as JSON: ["name"].'
    )
    model_log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Log level of inference pods and batch workers."
    )

    database_secret: str = Field(
        "", description="Secret with the address of PostgreSQL; empty: no prediction log, no batch."
    )
    database_secret_key: str = Field("url", description="Key of the address in that Secret.")
    database_port: int = Field(5432, ge=1, le=65535, description="Port of PostgreSQL.")
    redis_secret: str = Field("", description="Secret with the address of Redis; empty: no batch.")
    redis_secret_key: str = Field("url", description="Key of the address in that Secret.")
    redis_password_key: str = Field(
        "password", description="Key of the password, for KEDA; empty: no password."
    )
    redis_username_key: str = Field(
        "", description="Key of the user name, for KEDA; empty: no user name."
    )
    redis_tls: bool = Field(False, description="Whether KEDA connects to Redis over TLS.")
    redis_address: str = Field("", description="host:port of Redis, for KEDA.")
    redis_database: int = Field(0, ge=0, le=1024, description="Database number in Redis, for KEDA.")
    redis_port: int = Field(6379, ge=1, le=65535, description="Port of Redis.")

    payload_logging: Literal["none", "input", "all"] = Field(
        "all", description="Payloads in the prediction log: none, the input, or all."
    )
    retention_days: int = Field(
        90, ge=1, le=36_500, description="Days to keep predictions and batch jobs."
    )
    webhook_secret: str = Field(
        "", description="Secret with the key that signs webhooks; empty: webhooks are rejected."
    )
    webhook_secret_key: str = Field("secret", description="Key of the signing key in that Secret.")
    webhook_allowed_hosts: tuple[str, ...] = Field(
        (), description='Hosts that webhooks may call at private addresses, as JSON: ["name"].'
    )

    pod_template_allowed_fields: tuple[str, ...] = Field(
        (),
        description="Fields of pod templates beyond the Pod Security Standard restricted that are "
        'allowed, as JSON: ["hostNetwork", "volumes.hostPath"].',
    )
    platform_labels: dict[str, str] = Field(
        {},
        description="Labels of the Secrets and claims of the installation, which ModelDeployments "
        'must not use, as JSON: {"app.kubernetes.io/instance": "slipway"}.',
    )
    routing: Literal["nginx", "gateway", "none"] = Field(
        "nginx", description="Kind of routes: Ingress with nginx annotations, HTTPRoute, or none."
    )
    ingress_class: str = Field("nginx", description="IngressClass of the routes.")
    default_host: str = Field(
        "", description="Host of routes without a host of their own; empty: any host."
    )
    default_tls_secret: str = Field(
        "", description="Secret with the default host's certificate; empty: plain HTTP."
    )
    external_url: str = Field(
        "",
        description="External scheme://host:port of the default host, for status.url.",
    )
    gateway_name: str = Field("public", description="Gateway that HTTPRoutes attach to.")
    gateway_namespace: str = Field("gateway", description="Namespace of that Gateway.")
    host_grants: dict[str, tuple[str, ...]] = Field(
        {"*": ("*",)},
        description="Hosts at which the routes of a namespace may be, as JSON: "
        '{"models": ["models.example.com", "*.models.example.com"]}. The host "*" is every host, '
        'the namespace "*" all namespaces.',
    )
    network_policies: bool = Field(True, description="Create NetworkPolicies for model pods.")
    service_monitors: bool = Field(
        True, description="Create ServiceMonitors where the Prometheus Operator is installed."
    )
    monitor_labels: dict[str, str] = Field(
        {}, description='Labels of ServiceMonitors, as JSON: {"release": "prometheus"}.'
    )

    @property
    def secret_names(self) -> frozenset[str]:
        """Names of the platform's Secrets, which every served namespace has a copy of."""
        return frozenset({self.database_secret, self.redis_secret, self.webhook_secret})


class OperatorSettings(Platform):
    """Settings of the operator's process."""

    namespaces: tuple[str, ...] = Field(
        (), description='Namespaces to watch, as JSON: ["models"]; empty: all.'
    )
    concurrency: int = Field(
        8, ge=1, le=128, description="Maximum number of concurrent reconciliations."
    )
    resync_seconds: float = Field(300, gt=0, le=86400, description="Time between two resyncs.")
    discovery_seconds: float = Field(
        30,
        gt=0,
        le=3600,
        description="Time between two discoveries of optional kinds and ingress classes.",
    )
    port: int = Field(8080, ge=0, le=65535, description="Port of /metrics, /healthz and /readyz.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Log level of the operator."
    )
