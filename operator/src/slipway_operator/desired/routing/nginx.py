"""The Ingress of a model.

Its annotations are understood by ingress-nginx and by Traefik's ingress-nginx provider. None of
them contains text from the user.
"""

from __future__ import annotations

from slipway_operator.api.v1alpha1.labels import INFERENCE
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.configuration import Platform
from slipway_operator.desired.environment import ROUTE_MARGIN_SECONDS, max_request_seconds
from slipway_operator.desired.metadata import build_metadata
from slipway_operator.desired.names import HTTP_PORT_NAME
from slipway_operator.kubernetes.objects import Object
from slipway_operator.plan import RoutePlan

PREFIX = "nginx.ingress.kubernetes.io"


def build_ingress(
    md: ModelDeployment, platform: Platform, route: RoutePlan, paths: list[str]
) -> Object:
    """Return the Ingress. Each model has its own, because rate limits count per Ingress."""
    backend = {"service": {"name": md.name, "port": {"name": HTTP_PORT_NAME}}}
    rule: Object = {
        "http": {
            "paths": [{"path": path, "pathType": "Prefix", "backend": backend} for path in paths]
        }
    }
    if route.host:
        rule["host"] = route.host
    spec: Object = {"ingressClassName": platform.ingress_class, "rules": [rule]}
    if route.tls_secret:
        hosts = {"hosts": [route.host]} if route.host else {}
        spec["tls"] = [{"secretName": route.tls_secret, **hosts}]
    meta = {**build_metadata(md, md.name, INFERENCE), "annotations": _annotations(md)}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": meta,
        "spec": spec,
    }


def _annotations(md: ModelDeployment) -> dict[str, str]:
    route = md.spec.route
    seconds = max_request_seconds(md) + ROUTE_MARGIN_SECONDS
    values = {
        "proxy-body-size": f"{route.max_request_mebibytes}m",
        "proxy-read-timeout": str(seconds),
        "proxy-send-timeout": str(seconds),
    }
    if limit := route.rate_limit:
        values["limit-rps"] = str(limit.requests_per_second)
        values["limit-burst-multiplier"] = str(limit.burst_multiplier)
        if limit.connections is not None:
            values["limit-connections"] = str(limit.connections)
    return {f"{PREFIX}/{name}": value for name, value in values.items()}
