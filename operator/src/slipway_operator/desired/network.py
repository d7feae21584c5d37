"""NetworkPolicies: the ingress and egress of model pods."""

from __future__ import annotations

from slipway_operator.api.v1alpha1.labels import BATCH, INFERENCE, build_selector
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.configuration import Platform
from slipway_operator.desired.egress import build_egress
from slipway_operator.desired.metadata import build_metadata
from slipway_operator.desired.names import HTTP_PORT, METRICS_PORT, batch_name
from slipway_operator.kubernetes.objects import Object


def build_inference_policy(md: ModelDeployment, platform: Platform) -> Object:
    """Return the policy of the inference pods.

    Requests may come from anywhere unless the platform names the callers: ingress controllers and
    clients run in namespaces of any name, and callers are not trusted in any case. The port of
    probes and metrics is open to Prometheus in any namespace.
    """
    requests = _ingress(HTTP_PORT)
    if platform.caller_peers:
        requests["from"] = list(platform.caller_peers)
    return _policy(md, platform, md.name, INFERENCE, [requests, _ingress(METRICS_PORT)])


def build_batch_policy(md: ModelDeployment, platform: Platform) -> Object:
    """Return the policy of the batch workers."""
    return _policy(md, platform, batch_name(md.name), BATCH, [_ingress(METRICS_PORT)])


def _ingress(port: int) -> Object:
    return {"ports": [{"port": port, "protocol": "TCP"}]}


def _policy(
    md: ModelDeployment, platform: Platform, name: str, component: str, ingress: list[Object]
) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": build_metadata(md, name, component),
        "spec": {
            "podSelector": {"matchLabels": build_selector(md, component)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": build_egress(md, platform),
        },
    }
