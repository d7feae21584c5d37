"""Hosts are granted per namespace, and a route that would take requests of others is refused."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fixtures.modeldeployments import manifest, model_deployment, platform
from tests.fixtures.observations import NGINX

from slipway_operator.cache.model_deployments import ModelDeployments
from slipway_operator.kubernetes.objects import Key
from slipway_operator.observed.routes import check_route
from slipway_operator.plan import Plan
from slipway_operator.policy.hosts import covers, is_granted, owns_host

ALL = {"*": ("*",)}


@pytest.mark.parametrize(
    ("broader", "host", "expected"),
    [
        ("", "models.example.com", True),
        ("", "*.example.com", True),
        ("", "", True),
        ("*.example.com", "models.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "*.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("models.example.com", "models.example.com", True),
        ("models.example.com", "other.example.com", False),
        ("models.example.com", "", False),
        ("models.example.com", "*.example.com", False),
        ("*.example.com", "badexample.com", False),
    ],
)
def test_a_host_covers_what_its_requests_may_be_for(
    broader: str, host: str, expected: bool
) -> None:
    assert covers(broader, host) is expected


@pytest.mark.parametrize(
    ("host", "grants", "granted", "owned"),
    [
        ("h.example", {}, False, False),
        ("", {}, False, False),
        ("h.example", ALL, True, False),
        ("", ALL, True, False),
        ("h.example", {"models": ("h.example",)}, True, True),
        ("a.h.example", {"models": ("*.h.example",)}, True, True),
        ("*.h.example", {"models": ("*.h.example",)}, True, True),
        ("h.example", {"models": ("*.h.example",)}, False, False),
        ("", {"models": ("h.example",)}, False, False),
        ("h.example", {"other": ("h.example", "*")}, False, False),
        ("h.example", {"models": ("*", "h.example")}, True, True),
    ],
)
def test_grants(host: str, grants: dict[str, Any], granted: bool, owned: bool) -> None:
    assert is_granted(host, "models", grants) is granted
    assert owns_host(host, "models", grants) is owned


Row = tuple[str, dict[str, Any]]
ANY_ROOT: dict[str, Any] = {"default": True}
HOST_ROOT: dict[str, Any] = {"default": True, "host": "models.example.com"}
WILD_ROOT: dict[str, Any] = {"default": True, "host": "*.example.com"}


@pytest.mark.parametrize(
    ("older", "newer", "grants", "conflict"),
    [
        # The hijack: a narrower host in another namespace.
        (("a", ANY_ROOT), ("b", HOST_ROOT), ALL, True),
        (("a", ANY_ROOT), ("b", WILD_ROOT), ALL, True),
        (("a", WILD_ROOT), ("b", HOST_ROOT), ALL, True),
        (("a", HOST_ROOT), ("b", HOST_ROOT), ALL, True),
        # The owner of the namespace, or the platform by a grant, wants the narrower host.
        (("a", ANY_ROOT), ("a", HOST_ROOT), ALL, False),
        (("a", HOST_ROOT), ("a", HOST_ROOT), ALL, True),
        (("a", ANY_ROOT), ("b", HOST_ROOT), {**ALL, "b": ("models.example.com",)}, False),
        (("a", HOST_ROOT), ("b", HOST_ROOT), {**ALL, "b": ("models.example.com",)}, True),
        # A broader route takes nothing from a narrower one.
        (("a", HOST_ROOT), ("b", ANY_ROOT), ALL, False),
        # Other paths and other hosts.
        (("a", ANY_ROOT), ("b", {"host": "models.example.com"}), ALL, False),
        (("a", HOST_ROOT), ("b", {**HOST_ROOT, "host": "x.example.com"}), ALL, False),
        # A route without a grant is none, and claims nothing.
        (("a", ANY_ROOT), ("b", HOST_ROOT), {"b": ("*",)}, False),
    ],
)
def test_an_older_route_keeps_its_requests(
    older: Row, newer: Row, grants: dict[str, Any], conflict: bool
) -> None:
    deployments = ModelDeployments(platform(host_grants=grants))
    for age, (namespace, route) in enumerate((older, newer)):
        body = manifest(f"model-{age}", namespace, route=route)
        body["metadata"]["creationTimestamp"] = f"2026-01-0{age + 1}T00:00:00Z"
        deployments.put(body)
    claims = deployments.route_claims
    keys = [Key(row[0], f"model-{age}") for age, row in enumerate((older, newer))]
    expected = "/".join(keys[0]) if conflict else ""
    assert claims.older_claimant(keys[1]) == expected
    assert claims.older_claimant(keys[0]) == ""
    if conflict:
        # Each is reconciled when the other changes.
        assert claims.other_claimants(keys[0]) == {keys[1]}
        assert claims.other_claimants(keys[1]) == {keys[0]}
        deployments.drop(keys[0])
        assert claims.older_claimant(keys[1]) == ""


@pytest.mark.parametrize(
    ("route", "default_host", "grants", "granted"),
    [
        ({}, "", {}, False),
        ({}, "models.example.com", {}, True),
        ({"default": True}, "models.example.com", {}, False),
        ({"default": True}, "models.example.com", {"models": ("models.example.com",)}, True),
        ({"host": "h.example"}, "models.example.com", {}, False),
        ({"host": "models.example.com"}, "models.example.com", {}, True),
        ({"host": "h.example"}, "", {"models": ("h.example",)}, True),
        ({"enabled": False}, "", {}, True),
    ],
)
def test_a_route_without_a_grant_is_not_created(
    route: dict[str, Any], default_host: str, grants: dict[str, Any], granted: bool
) -> None:
    settings = platform(default_host=default_host, host_grants=grants)
    plan = Plan.of(model_deployment(route=route), settings, NGINX)
    assert plan.is_host_granted is granted
    if not granted:
        assert not plan.creates_route
        assert plan.url == "http://minilm.models.svc"
        finding = check_route(plan, None)
        assert finding.reason == "HostNotGranted"
        assert "routing.hosts" in finding.message
