"""Egress rules of NetworkPolicies: what model pods need to connect to, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from urllib.parse import urlsplit

from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.api.v1alpha1.network import EgressRule
from slipway_operator.configuration import Platform
from slipway_operator.desired.environment import is_downloaded
from slipway_operator.kubernetes.objects import Object
from slipway_operator.policy.egress import excepted, granted_rules

NAMESPACE_LABEL = "kubernetes.io/metadata.name"
DNS_NAMESPACES = ["kube-system", "openshift-dns"]
DNS_PORTS = (53, 5353)
"""Ports of name servers: 5353 is that of OpenShift's pods."""
DNS_ADDRESSES = (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7",
    "169.254.20.10/32", "169.254.25.10/32",
)  # fmt: skip
"""Addresses of name servers that are no pods: those of Services, nodes and node-local caches.

Plugins differ in whether they see the address of a Service or that of its pod.
"""
WEB_PORTS = frozenset({80, 443})


def build_egress(md: ModelDeployment, platform: Platform) -> list[Object]:
    """Return rules for DNS, the stores, the download, webhooks, and what the spec asks for."""
    outside = (WEB_PORTS if platform.webhook_secret else frozenset()) | _download_ports(md)
    return [
        _rule(DNS_PORTS, list(platform.dns_peers) or _default_dns_peers(), ("UDP", "TCP")),
        *_store(platform.database_secret, platform.database_port, platform.database_peers),
        *_store(platform.redis_secret, platform.redis_port, platform.redis_peers),
        *([_rule(sorted(outside), _anywhere())] if outside else []),
        *(_rule(rule.ports, [_peer(rule)]) for rule in granted_rules(md, platform)),
    ]


def _store(secret: str, port: int, peers: Sequence[Object]) -> list[Object]:
    return [_rule([port], list(peers) or _anywhere())] if secret else []


def _rule(
    ports: Iterable[int], peers: list[Object], protocols: tuple[str, ...] = ("TCP",)
) -> Object:
    allowed = [{"port": port, "protocol": each} for port in ports for each in protocols]
    return {"ports": allowed, "to": peers}


def _peer(rule: EgressRule) -> Object:
    if rule.cidr:
        return _block(rule.cidr)
    return {"namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: rule.namespace}}}


def _anywhere() -> list[Object]:
    return [_block("0.0.0.0/0"), _block("::/0")]


def _block(cidr: str) -> Object:
    without = excepted(cidr)
    block = {"cidr": str(ip_network(cidr, strict=False))}
    return {"ipBlock": {**block, "except": without} if without else block}


def _default_dns_peers() -> list[Object]:
    expression = {"key": NAMESPACE_LABEL, "operator": "In", "values": DNS_NAMESPACES}
    pods = {"namespaceSelector": {"matchExpressions": [expression]}}
    return [pods, *map(_block, DNS_ADDRESSES)]


def _download_ports(md: ModelDeployment) -> frozenset[int]:
    if not is_downloaded(md):
        return frozenset()
    try:
        port = urlsplit(md.spec.model.uri).port
    except ValueError:
        port = None
    return WEB_PORTS | ({port} if port else set())
