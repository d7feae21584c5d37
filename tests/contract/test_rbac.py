"""The operator's ClusterRole grants what the API server's audit log shows as used, and no more."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.fixtures.apiserver import OPERATOR_USER
from tests.fixtures.modeldeployments import manifest
from tests.fixtures.operator_process import Kube, Operate

from slipway_operator.generate.rbac import build_rules

pytestmark = pytest.mark.apiserver

Grant = tuple[str, str, str]


def _granted() -> set[Grant]:
    return {
        (group, resource, verb)
        for rule in build_rules()
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def _used(entries: list[dict[str, Any]]) -> set[Grant]:
    found = set()
    for entry in entries:
        about = entry.get("objectRef")
        if about is None or entry["user"]["username"] != OPERATOR_USER:
            continue  # discovery, which every user may do
        resource = about["resource"]
        if "subresource" in about:
            resource += f"/{about['subresource']}"
        found.add((about.get("apiGroup", ""), resource, entry["verb"]))
        if entry["verb"] == "patch" and entry.get("responseStatus", {}).get("code") == 201:
            found.add((about.get("apiGroup", ""), resource, "create"))
    return found


def test_every_granted_permission_is_used_and_no_other(
    kube: Kube, operate_with: Operate, optional_crds: None
) -> None:
    everything: dict[str, Any] = {
        "batch": {},
        "autoscaling": {"maxReplicas": 3},
        "route": {"host": "h.example"},
    }
    nothing: dict[str, Any] = {"route": {"enabled": False}, "monitoring": {"enabled": False}}

    def count() -> int:
        kinds = "scaledobjects,triggerauthentications,servicemonitors,httproutes,hpa"
        return len(kube.list(kinds))

    kube.run("delete", "crd", "modeldeployments.serving.slipway.dev")
    with operate_with(routing="gateway"):
        kube.wait_for(lambda: kube.server.kubectl("get", "md").returncode == 0)
        kube.apply(manifest(namespace=kube.namespace, **everything))
        kube.wait_for(lambda: count() == 5)
        kube.apply(manifest(namespace=kube.namespace, **nothing))
        kube.wait_for(lambda: count() == 0)
    with operate_with():
        kube.apply(manifest(namespace=kube.namespace))
        kube.wait_for(lambda: kube.get("ingress", "minilm"))
        kube.apply(manifest(namespace=kube.namespace, **nothing))
        kube.wait_for(lambda: kube.get("ingress", "minilm") is None)
    used, granted = _used(kube.server.audit()), _granted()
    assert used <= granted, json.dumps(sorted(used - granted))
    assert granted <= used, json.dumps(sorted(granted - used))
