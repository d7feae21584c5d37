"""Settings from the environment (`SLIPWAY_OPERATOR_*`), which the Helm chart sets.

`Platform` describes the installation, for the builders. `OperatorSettings` adds the settings of the
operator's process. Both contain names of Secrets and never a secret itself.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class EgressGrant(BaseModel):
    """Connections that the ModelDeployments of a namespace may ask for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cidr: str = Field("", description="Addresses.")
    namespace: str = Field("", description="Namespace whose pods to connect to.")
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = Field(
        (), description="Ports; empty: all."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.cidr) == bool(self.namespace):
            raise ValueError("give either cidr or namespace")
        if self.cidr:
            ip_network(self.cidr, strict=False)
        return self


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
    sandbox: Literal["auto", "required", "off"] = Field(
        "auto",
        description="Sandbox of models that state none. Where it is required, none may do without.",
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
    database_volume_size: str = Field(
        "", description="Size of PostgreSQL's volume, such as 8Gi; empty: not known, no limit."
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
    cors_origins: tuple[str, ...] = Field(
        (),
        description="Origins whose pages may use the models from a browser, as JSON: "
        '["https://app.example.com"].',
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
    database_peers: tuple[dict[str, Any], ...] = Field(
        (), description="NetworkPolicyPeers of PostgreSQL, as JSON; empty: any address."
    )
    redis_peers: tuple[dict[str, Any], ...] = Field(
        (), description="NetworkPolicyPeers of Redis, as JSON; empty: any address."
    )
    dns_peers: tuple[dict[str, Any], ...] = Field(
        (),
        description="NetworkPolicyPeers of name servers, as JSON; empty: pods of kube-system and "
        "openshift-dns, and private addresses.",
    )
    caller_peers: tuple[dict[str, Any], ...] = Field(
        (), description="NetworkPolicyPeers that may call models, as JSON; empty: all."
    )
    egress_grants: dict[str, tuple[EgressGrant, ...]] = Field(
        {},
        description="Connections that the ModelDeployments of a namespace may ask for, as JSON: "
        '{"models": [{"cidr": "10.1.2.0/24", "ports": [9000]}]}. The namespace "*" is every one.',
    )
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
