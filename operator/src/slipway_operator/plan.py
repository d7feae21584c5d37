"""Decisions about a ModelDeployment that depend on its spec, the platform and the cluster.

The builders of `desired` and the conditions of `observed` follow the same plan, so they cannot
disagree on whether a model has a route or KEDA scales its workers.
"""

from __future__ import annotations

from dataclasses import dataclass

from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.api.v1alpha1.route import Route
from slipway_operator.api.v1alpha1.scaling import Batch
from slipway_operator.configuration import Platform
from slipway_operator.kubernetes.capabilities import Capabilities
from slipway_operator.policy import egress, pod_template
from slipway_operator.policy.hosts import is_granted
from slipway_operator.policy.refusal import Refusal


@dataclass(frozen=True)
class RoutePlan:
    """Where a model is reachable from outside the cluster."""

    host: str
    """Host name; empty for any host."""
    prefixes: tuple[str, ...]
    """Path prefixes of the model on its host; the empty prefix is the root."""
    tls_secret: str
    """Secret with the certificate of the host; empty for plain HTTP."""

    @classmethod
    def of(cls, name: str, route: Route, platform: Platform) -> RoutePlan | None:
        """Return the route of a model, None when its spec or the platform disables routes."""
        if not route.enabled or platform.routing == "none":
            return None
        prefix = f"/models/{name}"
        default_secret = "" if route.host else platform.default_tls_secret
        return cls(
            host=route.host or platform.default_host,
            prefixes=(prefix, "") if route.default else (prefix,),
            tls_secret=route.tls_secret_name or default_secret,
        )

    def is_granted_to(self, namespace: str, platform: Platform) -> bool:
        """Return whether the namespace may have this route.

        The default host needs no grant below /models/NAME, which is a model's own path.
        """
        is_own_path = bool(self.host) and self.host == platform.default_host
        return (is_own_path and "" not in self.prefixes) or is_granted(
            self.host, namespace, platform.host_grants
        )


@dataclass(frozen=True)
class Plan:
    """The decisions for one ModelDeployment on this platform and cluster."""

    md: ModelDeployment
    platform: Platform
    capabilities: Capabilities
    older_claimant: str
    """Older ModelDeployment with a route at the same place, as namespace/name; usually empty."""
    route: RoutePlan | None
    """Route that the spec and the platform ask for, whether or not it can be created."""
    is_host_granted: bool
    """Whether the namespace may have that route."""
    url: str
    """URL of the model: its route's, or else its Service's."""
    batch: Batch | None
    """Batch workers to run; None without them, or without the database and queue they need."""
    keda_scales_batch: bool
    """Whether KEDA scales batch workers by queue length. Otherwise an HPA scales them by CPU."""
    refusal: Refusal | None
    """Why the Deployments are left as they are; None when the spec asks for nothing refused."""
    is_scraped: bool
    """Whether Prometheus scrapes the model through a ServiceMonitor."""

    @classmethod
    def of(
        cls,
        md: ModelDeployment,
        platform: Platform,
        capabilities: Capabilities,
        *,
        older_claimant: str = "",
        refused_reference: Refusal | None = None,
    ) -> Plan:
        """Return the plan for a ModelDeployment.

        `refused_reference` names a Secret or claim that the spec must not use.
        """
        route = RoutePlan.of(md.name, md.spec.route, platform)
        has_stores = bool(platform.database_secret and platform.redis_secret)
        is_host_granted = route is None or route.is_granted_to(md.namespace, platform)
        has_monitors = platform.service_monitors and capabilities.service_monitors
        return cls(
            md=md,
            platform=platform,
            capabilities=capabilities,
            older_claimant=older_claimant,
            route=route,
            is_host_granted=is_host_granted,
            url=_url(md, platform, route if is_host_granted and not older_claimant else None),
            batch=md.enabled_batch if has_stores else None,
            keda_scales_batch=bool(capabilities.keda and platform.redis_address),
            refusal=pod_template.find_refusal(md, platform)
            or refused_reference
            or egress.find_refusal(md, platform),
            is_scraped=md.spec.monitoring.enabled and has_monitors,
        )

    @property
    def creates_route(self) -> bool:
        """Whether the operator creates an Ingress or HTTPRoute.

        It creates none beside an older claimant's: of two routes for one path a controller may
        serve either, and of two hosts it prefers the narrower.
        """
        is_known = self.platform.routing == "nginx" or self.capabilities.http_routes
        is_free = self.is_host_granted and not self.older_claimant
        return self.route is not None and is_free and is_known


def _url(md: ModelDeployment, platform: Platform, route: RoutePlan | None) -> str:
    service = f"http://{md.name}.{md.namespace}.svc"
    if route is None:
        return service
    path = route.prefixes[-1]
    if not md.spec.route.host and platform.external_url:
        return platform.external_url.rstrip("/") + path
    if not route.host:
        return service
    return f"{'https' if route.tls_secret else 'http'}://{route.host}{path}"
