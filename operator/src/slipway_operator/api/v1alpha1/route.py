"""`spec.route` and `spec.monitoring`: the route to the model, and its metrics."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from slipway_operator.api.v1alpha1.api_model import ApiModel, reject_unless
from slipway_operator.api.v1alpha1.model_source import ObjectName

HOST_PATTERN = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"


class RateLimit(ApiModel):
    """Rate limits per client address."""

    requests_per_second: int = Field(
        ge=1, le=100_000, description="Requests per second and client address."
    )
    burst_multiplier: int = Field(
        5, ge=1, le=100, description="Size of a burst, as a multiple of `requestsPerSecond`."
    )
    connections: int | None = Field(
        None, ge=1, le=100_000, description="Concurrent connections per client address."
    )


class Route(ApiModel):
    """Route for requests from outside the cluster. It always serves the model under /models/NAME/
    of its host.
    """

    model_config = ConfigDict(
        json_schema_extra=reject_unless(
            (
                "!has(self.tlsSecretName) || has(self.host)",
                "`tlsSecretName` needs `host`: a certificate belongs to a host name",
            )
        )
    )

    enabled: bool = Field(True, description="Create a route.")
    default: bool = Field(
        False,
        description="Serve the model at the root of the host too (/predict, /v1, /v2, /health, "
        "/docs). Only one ModelDeployment per host can do so.",
    )
    host: str | None = Field(
        None,
        min_length=1,
        max_length=253,
        description="Host name; by default that of the platform, or any host if it has none. The "
        "platform grants hosts to namespaces.",
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
        description="Rate limits per client address and replica of the ingress controller; none by "
        "default. An idle client may send 1 + requestsPerSecond x burstMultiplier requests at "
        "once.",
    )
    max_request_mebibytes: int = Field(
        64, ge=1, le=10_240, description="Maximum size of a request body, MiB."
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
