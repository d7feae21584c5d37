"""Routes from outside the cluster: one builder for each routing provider."""

from __future__ import annotations

from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.configuration import Platform
from slipway_operator.desired.names import PUBLIC_PATHS
from slipway_operator.desired.routing.gateway import build_http_route
from slipway_operator.desired.routing.nginx import build_ingress
from slipway_operator.kubernetes.objects import Object
from slipway_operator.plan import RoutePlan


def build_route(md: ModelDeployment, platform: Platform, route: RoutePlan) -> Object:
    """Return the Ingress or HTTPRoute of a model."""
    # The server responds under both prefixes, so that no path has to be rewritten.
    paths = [prefix + path for prefix in route.prefixes for path in PUBLIC_PATHS]
    builder = build_ingress if platform.routing == "nginx" else build_http_route
    return builder(md, platform, route, paths)
