"""NetworkPolicies: the ingress and egress of model pods."""

from __future__ import annotations

from urllib.parse import urlsplit

from slipway_operator.api.v1alpha1.labels import BATCH, INFERENCE, build_selector
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.configuration import Platform
from slipway_operator.desired.environment import is_downloaded
from slipway_operator.desired.metadata import build_metadata
from slipway_operator.desired.names import HTTP_PORT, METRICS_PORT, batch_name
from slipway_operator.kubernetes.objects import Object

METADATA_SERVICE = "169.254.169.254/32"
"""Metadata service of clouds, which would give a model the credentials of its node."""


def build_inference_policy(md: ModelDeployment, platform: Platform) -> Object:
    """Return the policy of the inference pods."""
    return _policy(md, md.name, INFERENCE, [HTTP_PORT, METRICS_PORT], _egress(md, platform))


def build_batch_policy(md: ModelDeployment, platform: Platform) -> Object:
    """Return the policy of the batch workers."""
    return _policy(md, batch_name(md.name), BATCH, [METRICS_PORT], _egress(md, platform))


def _policy(
    md: ModelDeployment, name: str, component: str, ports: list[int], egress: list[Object]
) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": build_metadata(md, name, component),
        "spec": {
            "podSelector": {"matchLabels": build_selector(md, component)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"ports": [{"port": port, "protocol": "TCP"} for port in ports]}],
            "egress": egress,
        },
    }


def _egress(md: ModelDeployment, platform: Platform) -> list[Object]:
    """Return rules for DNS, the platform's stores, the model download and webhooks."""
    rules: list[Object] = [{"ports": [{"port": 53, "protocol": name} for name in ("UDP", "TCP")]}]
    servers = []
    if platform.database_secret:
        servers.append(platform.database_port)
    if platform.redis_secret:
        servers.append(platform.redis_port)
    if servers:
        rules.append({"ports": [{"port": port, "protocol": "TCP"} for port in servers]})
    outside = sorted(({80, 443} if platform.webhook_secret else set()) | _download_ports(md))
    if outside:
        rules.append(
            {
                "ports": [{"port": port, "protocol": "TCP"} for port in outside],
                "to": [
                    {"ipBlock": {"cidr": "0.0.0.0/0", "except": [METADATA_SERVICE]}},
                    {"ipBlock": {"cidr": "::/0"}},
                ],
            }
        )
    return rules


def _download_ports(md: ModelDeployment) -> set[int]:
    if not is_downloaded(md):
        return set()
    try:
        port = urlsplit(md.spec.model.uri).port
    except ValueError:
        port = None
    return {80, 443, *([port] if port else [])}
