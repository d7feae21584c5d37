"""How requests from outside reach a model: one question, a provider for each answer."""

from __future__ import annotations

from typing import Any

from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.configuration import Capabilities, Platform
from slipway_operator.desired.names import PUBLIC_PATHS, model_path
from slipway_operator.desired.routing.gateway import http_route
from slipway_operator.desired.routing.nginx import ingress


def route_of(
    md: ModelDeployment, platform: Platform, capabilities: Capabilities, older_claimant: str
) -> dict[str, Any] | None:
    """The Ingress or HTTPRoute, or nothing where none is wanted or possible, or where an
    `older_claimant` answers at the same place: of two routes the controller would take either.
    """
    if older_claimant or not md.spec.route.enabled or platform.routing == "none":
        return None
    paths = route_paths(md)
    if platform.routing == "nginx":
        return ingress(md, platform, paths, host_of(md, platform))
    if capabilities.http_routes:
        return http_route(md, platform, paths, host_of(md, platform))
    return None


def host_of(md: ModelDeployment, platform: Platform) -> str:
    """The host that the route answers at; empty for any."""
    return md.spec.route.host or platform.default_host


def route_paths(md: ModelDeployment) -> list[str]:
    """Path prefixes that lead to the model. The server itself answers under both forms, so nothing
    has to be rewritten on the way.
    """
    paths = [model_path(md.name) + path for path in PUBLIC_PATHS]
    return [*paths, *PUBLIC_PATHS] if md.spec.route.default else paths


def url_of(md: ModelDeployment, platform: Platform) -> str:
    """Where the model answers: its route, else its Service."""
    service = service_url(md)
    if not md.spec.route.enabled or platform.routing == "none":
        return service
    path = "" if md.spec.route.default else model_path(md.name)
    if not md.spec.route.host and platform.external_url:
        return platform.external_url.rstrip("/") + path
    host = host_of(md, platform)
    if not host:
        return service
    tls = md.spec.route.tls_secret_name or (not md.spec.route.host and platform.default_tls_secret)
    return f"{'https' if tls else 'http'}://{host}{path}"


def service_url(md: ModelDeployment) -> str:
    """Where the model answers inside the cluster."""
    return f"http://{md.name}.{md.namespace}.svc"
