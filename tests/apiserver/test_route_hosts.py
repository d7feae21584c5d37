"""Routes of two namespaces at overlapping hosts."""

from __future__ import annotations

import pytest
from tests.fixtures.modeldeployments import manifest
from tests.fixtures.operator_process import Kube, Operate

pytestmark = pytest.mark.apiserver


def test_a_newer_route_of_another_namespace_takes_no_requests(
    kube: Kube, operate_with: Operate
) -> None:
    other = Kube(kube.server, f"{kube.namespace}-other")
    other.run("create", "namespace", other.namespace)
    try:
        with operate_with():
            kube.apply(manifest("first", kube.namespace, route={"default": True}))
            kube.wait_for(lambda: kube.get("ingress", "first"))
            # Creation timestamps have a precision of seconds.
            kube.wait_for(lambda: _created(other, "probe") > _created(kube, "first"))
            route = {"default": True, "host": "models.example.com"}
            other.apply(manifest("second", other.namespace, route=route))
            message = other.wait_for_reason("second", "RouteConflict", "RouteReady")["message"]
            assert f"{kube.namespace}/first" in message
            assert other.get("ingress", "second") is None
            kube.run("delete", "md", "first")
            other.wait_for(lambda: other.get("ingress", "second"))
        grants = {other.namespace: ("other.example.com",)}
        with operate_with(host_grants=grants):
            other.wait_for_reason("second", "HostNotGranted", "RouteReady")
            other.wait_for(lambda: other.get("ingress", "second") is None)
    finally:
        other.run("delete", "modeldeployments", "--all")


def _created(kube: Kube, name: str) -> str:
    if name == "probe":
        kube.run("delete", "configmap", name, "--ignore-not-found")
        kube.run("create", "configmap", name)
        live = kube.get("configmap", name)
    else:
        live = kube.get("md", name)
    assert live is not None
    return str(live["metadata"]["creationTimestamp"])
