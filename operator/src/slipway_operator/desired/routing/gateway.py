"""Routes as HTTPRoute of the Gateway API, which has no rate limits of its own."""

from __future__ import annotations

from typing import Any

from slipway_operator.api.v1alpha1.labels import INFERENCE, metadata
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.configuration import Platform
from slipway_operator.desired.service import SERVICE_PORT


def http_route(
    md: ModelDeployment, platform: Platform, paths: list[str], host: str
) -> dict[str, Any]:
    """One rule with all paths: they share the backend."""
    matches = [{"path": {"type": "PathPrefix", "value": path}} for path in paths]
    spec: dict[str, Any] = {
        "parentRefs": [{"name": platform.gateway_name, "namespace": platform.gateway_namespace}],
        "rules": [
            {"matches": matches, "backendRefs": [{"name": md.name, "port": SERVICE_PORT}]},
        ],
    }
    if host:
        spec["hostnames"] = [host]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata(md, md.name, INFERENCE),
        "spec": spec,
    }
