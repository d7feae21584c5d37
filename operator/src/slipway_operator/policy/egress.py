"""What the pods of a ModelDeployment may connect to, and what no pod may."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.api.v1alpha1.network import EgressRule
from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.configuration import EgressGrant, Platform
from slipway_operator.policy.refusal import Refusal

Network = IPv4Network | IPv6Network

METADATA_NETWORKS: tuple[Network, ...] = (
    IPv4Network("169.254.0.0/16"),  # AWS, Azure, Google and most others; credentials of EKS and ECS
    IPv4Network("168.63.129.16/32"),  # Azure's agent
    IPv4Network("100.100.100.200/32"),  # Alibaba
    IPv4Network("192.0.0.192/32"),  # Oracle
    IPv6Network("fd00:ec2::/32"),  # AWS
    IPv6Network("fd20:ce::/64"),  # Google
    IPv6Network("fd00:42::42/128"),  # Scaleway
    IPv6Network("fe80::/10"),  # the link of the node
    IPv6Network("64:ff9b::a9fe:0/112"),  # 169.254.0.0/16 by NAT64
    IPv6Network("64:ff9b::a83f:8110/128"),  # 168.63.129.16 by NAT64
)
"""Addresses of metadata services, which give whoever asks the credentials of the node."""

ALL_NAMESPACES = "*"


def excepted(cidr: str) -> list[str]:
    """Return the metadata networks inside a range, to be left out of it."""
    outer = ip_network(cidr, strict=False)
    return [str(inner) for inner in METADATA_NETWORKS if _is_inside(inner, outer)]


def granted_rules(md: ModelDeployment, platform: Platform) -> list[EgressRule]:
    """Return the rules of `spec.network.egress` that the platform has granted."""
    return [rule for rule in md.spec.network.egress if _is_granted(rule, md.namespace, platform)]


def find_refusal(md: ModelDeployment, platform: Platform) -> Refusal | None:
    """Return the refusal of the first rule without a grant, None when all have one.

    Without NetworkPolicies rules have no effect, and need no grant.
    """
    if not platform.network_policies:
        return None
    for index, rule in enumerate(md.spec.network.egress):
        if not _is_granted(rule, md.namespace, platform):
            target = f"namespace `{rule.namespace}`" if rule.namespace else f"`{rule.cidr}`"
            ports = ", ".join(map(str, rule.ports))
            fact = (
                f"`spec.network.egress[{index}]` asks for {target}, ports {ports}, which the "
                f"platform has not granted to namespace `{md.namespace}`"
            )
            return Refusal(Reason.EGRESS_NOT_GRANTED, fact)
    return None


def _is_granted(rule: EgressRule, namespace: str, platform: Platform) -> bool:
    grants = platform.egress_grants
    candidates = [*grants.get(namespace, ()), *grants.get(ALL_NAMESPACES, ())]
    return not _is_metadata(rule) and any(_permits(grant, rule) for grant in candidates)


def _permits(grant: EgressGrant, rule: EgressRule) -> bool:
    if grant.ports and not set(rule.ports) <= set(grant.ports):
        return False
    if rule.namespace:
        return rule.namespace == grant.namespace
    if not (rule.cidr and grant.cidr):
        return False
    return _is_inside(ip_network(rule.cidr, strict=False), ip_network(grant.cidr, strict=False))


def _is_metadata(rule: EgressRule) -> bool:
    if not rule.cidr:
        return False
    network = ip_network(rule.cidr, strict=False)
    return any(_is_inside(network, outer) for outer in METADATA_NETWORKS)


def _is_inside(inner: Network, outer: Network) -> bool:
    if isinstance(inner, IPv4Network) and isinstance(outer, IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, IPv6Network) and isinstance(outer, IPv6Network):
        return inner.subnet_of(outer)
    return False
