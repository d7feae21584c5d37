"""The HTTPRoute of a model. The Gateway API has no rate limits."""

from __future__ import annotations

from slipway_operator.api.v1alpha1.labels import INFERENCE
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.configuration import Platform
from slipway_operator.desired.metadata import build_metadata
from slipway_operator.desired.service import SERVICE_PORT
from slipway_operator.kubernetes.objects import Object
from slipway_operator.plan import RoutePlan


def build_http_route(
    md: ModelDeployment, platform: Platform, route: RoutePlan, paths: list[str]
) -> Object:
    """Return an HTTPRoute whose only rule has all paths, since they share a backend."""
    matches = [{"path": {"type": "PathPrefix", "value": path}} for path in paths]
    spec: Object = {
        "parentRefs": [{"name": platform.gateway_name, "namespace": platform.gateway_namespace}],
        "rules": [
            {"matches": matches, "backendRefs": [{"name": md.name, "port": SERVICE_PORT}]},
        ],
    }
    if route.host:
        spec["hostnames"] = [route.host]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": build_metadata(md, md.name, INFERENCE),
        "spec": spec,
    }
