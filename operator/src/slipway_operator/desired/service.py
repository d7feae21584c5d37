"""Services and the ServiceAccount of a ModelDeployment."""

from __future__ import annotations

from slipway_operator.api.v1alpha1.labels import BATCH, INFERENCE, build_selector
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.configuration import Platform
from slipway_operator.desired.metadata import build_metadata
from slipway_operator.desired.names import (
    HTTP_PORT_NAME,
    METRICS_PORT,
    METRICS_PORT_NAME,
    batch_name,
)
from slipway_operator.kubernetes.objects import Object

SERVICE_PORT = 80
_FAMILIES = {"ipFamilyPolicy": "PreferDualStack"}
"""A Service has the families of its cluster: IPv4, IPv6, or both."""


def build_inference_service(md: ModelDeployment) -> Object:
    """Return the Service of the model, http://NAME.NAMESPACE.svc inside the cluster."""
    ports = [_port(HTTP_PORT_NAME, SERVICE_PORT), _port(METRICS_PORT_NAME, METRICS_PORT)]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": build_metadata(md, md.name, INFERENCE),
        "spec": {**_FAMILIES, "selector": build_selector(md, INFERENCE), "ports": ports},
    }


def build_batch_service(md: ModelDeployment) -> Object:
    """Return the headless Service through which Prometheus finds the workers."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": build_metadata(md, batch_name(md.name), BATCH),
        "spec": {
            **_FAMILIES,
            "clusterIP": "None",
            "selector": build_selector(md, BATCH),
            "ports": [_port(METRICS_PORT_NAME, METRICS_PORT)],
        },
    }


def build_service_account(md: ModelDeployment, platform: Platform) -> Object:
    """Return a ServiceAccount without rights or token: model pods do not use the API server."""
    pull_secrets = [{"name": name} for name in platform.image_pull_secrets]
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": build_metadata(md, md.name, INFERENCE),
        "automountServiceAccountToken": False,
        **({"imagePullSecrets": pull_secrets} if pull_secrets else {}),
    }


def _port(name: str, port: int) -> Object:
    return {"name": name, "port": port, "targetPort": name, "protocol": "TCP"}
