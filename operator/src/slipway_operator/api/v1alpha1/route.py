"""`spec.route` and `spec.monitoring`: how requests reach the model, and who measures it."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from slipway_operator.api.v1alpha1.api_model import ApiModel, reject_unless
from slipway_operator.api.v1alpha1.model_source import ObjectName

HOST_PATTERN = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"


class RateLimit(ApiModel):
    """Limits of each client address."""

    requests_per_second: int = Field(
        ge=1, le=100_000, description="Requests of one client address, per second."
    )
    burst_multiplier: int = Field(
        5, ge=1, le=100, description="A burst may be this many seconds' worth of requests."
    )
    connections: int | None = Field(
        None, ge=1, le=100_000, description="Connections of one client address at one time."
    )


class Route(ApiModel):
    """How requests from outside the cluster reach the model. It always answers under
    /models/NAME/ of its host.
    """

    model_config = ConfigDict(
        json_schema_extra=reject_unless(
            (
                "!has(self.tlsSecretName) || has(self.host)",
                "`tlsSecretName` needs `host`: a certificate belongs to a host name",
            )
        )
    )

    enabled: bool = Field(True, description="Route requests from outside the cluster.")
    default: bool = Field(
        False,
        description="Answer also at the root of the host (/predict, /v1, /v2, /health, /docs). One "
        "ModelDeployment of a host may do so.",
    )
    host: str | None = Field(
        None,
        min_length=1,
        max_length=253,
        description="Host name; the platform's default host when absent, else any host.",
        json_schema_extra=reject_unless(
            (
                f"self.matches(r'{HOST_PATTERN}')",
                "`host` must be a lower-case DNS name such as models.example.com, without port or "
                "path",
            )
        ),
    )
    tls_secret_name: ObjectName | None = Field(
        None, description="Secret with the certificate of `host` (type kubernetes.io/tls)."
    )
    rate_limit: RateLimit | None = Field(
        None,
        description="Limits of each client address at each replica of the ingress controller; none "
        "when absent. A client at rest may send 1 + requestsPerSecond x burstMultiplier at once.",
    )
    max_request_mebibytes: int = Field(
        64, ge=1, le=10_240, description="Largest request body that is let through, MiB."
    )


class Monitoring(ApiModel):
    """Scraping by Prometheus, where the Prometheus Operator is installed."""

    enabled: bool = Field(True, description="Create a ServiceMonitor.")
    interval: str = Field(
        "15s",
        max_length=8,
        description="Time between two scrapes, a number with unit s or m.",
        json_schema_extra=reject_unless(
            (
                "self.matches('^[1-9][0-9]{0,3}(s|m)$')",
                "`interval` must be a whole number with its unit, such as 15s or 1m",
            )
        ),
    )
