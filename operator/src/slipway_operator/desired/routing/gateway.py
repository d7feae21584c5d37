"""The HTTPRoute of a model. The Gateway API has no rate limits."""

from __future__ import annotations

from slipway_operator.api.v1alpha1.labels import INFERENCE
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.configuration import Platform
from slipway_operator.desired.environment import ROUTE_MARGIN_SECONDS, max_request_seconds
from slipway_operator.desired.metadata import build_metadata
from slipway_operator.desired.names import STATUS_PATH
from slipway_operator.desired.service import SERVICE_PORT
from slipway_operator.kubernetes.objects import Object
from slipway_operator.plan import RoutePlan

MAX_MATCHES = 8
"""Maximum number of matches in a rule. Gateways with the older CRDs reject more."""
NO_TIMEOUT = "0s"


def build_http_route(
    md: ModelDeployment, platform: Platform, route: RoutePlan, paths: list[str]
) -> Object:
    """Return an HTTPRoute whose requests last as long as the server lets them.

    Streams of results and progress under the status path have no timeout: the server ends them.
    """
    timeout = f"{max_request_seconds(md) + ROUTE_MARGIN_SECONDS}s"
    streams = [prefix + STATUS_PATH for prefix in route.prefixes]
    groups = [
        (paths[start : start + MAX_MATCHES], timeout) for start in range(0, len(paths), MAX_MATCHES)
    ]
    spec: Object = {
        "parentRefs": [{"name": platform.gateway_name, "namespace": platform.gateway_namespace}],
        "rules": [_rule(md, *group) for group in [(streams, NO_TIMEOUT), *groups]],
    }
    if route.host:
        spec["hostnames"] = [route.host]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": build_metadata(md, md.name, INFERENCE),
        "spec": spec,
    }


def _rule(md: ModelDeployment, paths: list[str], timeout: str) -> Object:
    return {
        "matches": [{"path": {"type": "PathPrefix", "value": path}} for path in paths],
        "timeouts": {"request": timeout},
        "backendRefs": [{"name": md.name, "port": SERVICE_PORT}],
    }
