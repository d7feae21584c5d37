"""Pods reach what they need, and no metadata service at any port."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from tests.fixtures.modeldeployments import build_objects, model_deployment, platform

from slipway_operator.configuration import Platform
from slipway_operator.kubernetes.capabilities import Capabilities
from slipway_operator.kubernetes.objects import Object
from slipway_operator.plan import Plan

METADATA_ADDRESSES = [
    "169.254.169.254", "169.254.170.2", "169.254.170.23", "168.63.129.16", "100.100.100.200",
    "192.0.0.192", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:42::42", "fe80::1",
    "64:ff9b::a9fe:a9fe", "64:ff9b::a83f:8110",
]  # fmt: skip
POSTGRESQL: Object = {"podSelector": {"matchLabels": {"app": "postgresql"}}}
STORAGE = {"models": ({"namespace": "storage", "ports": (9000,)}, {"cidr": "10.1.0.0/16"})}


def egress_rules(settings: Platform, **spec: Any) -> list[Object]:
    built = build_objects(model_deployment(**spec), settings, Capabilities())
    (policy,) = [each for each in built if each["kind"] == "NetworkPolicy"]
    rules: list[Object] = policy["spec"]["egress"]
    return rules


def reaches(rules: list[Object], address: str, port: int) -> bool:
    """Return whether a rule lets pods connect to an address that is no pod's."""
    target = ip_address(address)
    for rule in rules:
        if port not in [each["port"] for each in rule["ports"]]:
            continue
        assert rule["to"], "a rule without peers permits every address"
        for block in (peer["ipBlock"] for peer in rule["to"] if "ipBlock" in peer):
            without = [ip_network(each) for each in block.get("except", [])]
            if target in ip_network(block["cidr"]) and not any(target in each for each in without):
                return True
    return False


@pytest.mark.parametrize("address", METADATA_ADDRESSES)
def test_no_metadata_service_is_reachable(address: str) -> None:
    everything = {"models": ({"cidr": "0.0.0.0/0"}, {"cidr": "::/0"})}
    settings = platform(webhook_secret="webhooks", egress_grants=everything)
    ports = [53, 80, 443, 5353, 5432, 6379, 9000]
    rules = egress_rules(
        settings,
        model={"uri": "http://models.example.com:9000/m.zip"},
        network={
            "egress": [
                {"cidr": "0.0.0.0/0", "ports": ports},
                {"cidr": "::/0", "ports": ports},
                {"cidr": "100.100.0.0/16", "ports": ports},
                {"cidr": f"{address}/{'128' if ':' in address else '32'}", "ports": ports},
            ]
        },
    )
    assert reaches(rules, "93.184.216.34", 443)
    assert reaches(rules, "2606:4700::1", 443)
    assert not any(reaches(rules, address, port) for port in ports)


def test_the_stores_are_reached_at_their_pods_alone() -> None:
    settings = platform(
        database_peers=[POSTGRESQL], redis_peers=[{"ipBlock": {"cidr": "10.9.0.0/24"}}]
    )
    rules = egress_rules(settings)
    to_database = [rule for rule in rules if {"port": 5432, "protocol": "TCP"} in rule["ports"]]
    assert [rule["to"] for rule in to_database] == [[POSTGRESQL]]
    assert reaches(rules, "10.9.0.7", 6379)
    for address in ("10.8.0.1", "8.8.8.8"):
        assert not reaches(rules, address, 5432)
        assert not reaches(rules, address, 6379)


def test_names_are_resolved_inside_the_cluster() -> None:
    rules = egress_rules(platform())
    assert reaches(rules, "10.96.0.10", 53)
    assert reaches(rules, "169.254.20.10", 53)
    assert reaches(rules, "172.30.0.10", 5353)
    assert not reaches(rules, "8.8.8.8", 53)
    own = {"namespaceSelector": {"matchLabels": {"dns": "yes"}}}
    assert egress_rules(platform(dns_peers=[own]))[0]["to"] == [own]


def test_a_model_in_the_image_reaches_no_web_server() -> None:
    rules = egress_rules(platform())
    assert not reaches(rules, "93.184.216.34", 443)


@pytest.mark.parametrize(
    ("rule", "granted"),
    [
        ({"namespace": "storage", "ports": [9000]}, True),
        ({"namespace": "storage", "ports": [9000, 9001]}, False),
        ({"namespace": "kube-system", "ports": [9000]}, False),
        ({"cidr": "10.1.2.0/24", "ports": [1, 2]}, True),
        ({"cidr": "10.0.0.0/8", "ports": [9000]}, False),
        ({"cidr": "fd00::/8", "ports": [9000]}, False),
    ],
)
def test_the_spec_may_ask_for_what_the_platform_has_granted(rule: Object, granted: bool) -> None:
    settings = platform(egress_grants=STORAGE)
    md = model_deployment(network={"egress": [rule]})
    refusal = Plan.of(md, settings, Capabilities()).refusal
    assert (refusal is None) is granted
    ports = [
        each["ports"][0]["port"] for each in egress_rules(settings, network={"egress": [rule]})
    ]
    assert (rule["ports"][0] in ports) is granted
    if refusal:
        assert refusal.reason == "EgressNotGranted"
        assert "spec.network.egress[0]" in refusal.fact


def test_grants_of_all_namespaces_and_no_policies() -> None:
    md = model_deployment(network={"egress": [{"cidr": "10.1.2.3/32", "ports": [9000]}]})
    grants = {"*": ({"cidr": "10.0.0.0/8"},)}
    assert Plan.of(md, platform(egress_grants=grants), Capabilities()).refusal is None
    assert Plan.of(md, platform(network_policies=False), Capabilities()).refusal is None


def test_the_platform_can_name_the_callers() -> None:
    callers = [{"namespaceSelector": {"matchLabels": {"callers": "yes"}}}]
    built = build_objects(model_deployment(), platform(caller_peers=callers), Capabilities())
    (policy,) = [each for each in built if each["kind"] == "NetworkPolicy"]
    requests, metrics = policy["spec"]["ingress"]
    assert requests["from"] == callers
    assert "from" not in metrics
