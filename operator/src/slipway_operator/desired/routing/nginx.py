"""Routes as plain Ingress. Only annotations that both ingress-nginx and Traefik's ingress-nginx
provider honour are written, and none that carries text of the user's.
"""

from __future__ import annotations

from typing import Any

from slipway_operator.api.v1alpha1.labels import INFERENCE, metadata
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.configuration import Platform
from slipway_operator.desired.names import HTTP_PORT_NAME

PREFIX = "nginx.ingress.kubernetes.io"
MIN_PROXY_TIMEOUT_SECONDS = 60


def ingress(md: ModelDeployment, platform: Platform, paths: list[str], host: str) -> dict[str, Any]:
    """One Ingress for each model: the controller counts its limits by Ingress."""
    backend = {"service": {"name": md.name, "port": {"name": HTTP_PORT_NAME}}}
    rule: dict[str, Any] = {
        "http": {
            "paths": [{"path": path, "pathType": "Prefix", "backend": backend} for path in paths]
        }
    }
    if host:
        rule["host"] = host
    spec: dict[str, Any] = {"ingressClassName": platform.ingress_class, "rules": [rule]}
    secret = md.spec.route.tls_secret_name
    if not secret and not md.spec.route.host:
        secret = platform.default_tls_secret
    if secret:
        spec["tls"] = [{"secretName": secret, **({"hosts": [host]} if host else {})}]
    meta = {**metadata(md, md.name, INFERENCE), "annotations": _annotations(md)}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": meta,
        "spec": spec,
    }


def _annotations(md: ModelDeployment) -> dict[str, str]:
    route = md.spec.route
    seconds = max(MIN_PROXY_TIMEOUT_SECONDS, md.spec.runtime.request_timeout_seconds + 5)
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
