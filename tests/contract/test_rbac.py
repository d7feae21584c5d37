"""The operator's ClusterRole grants exactly the permissions that the operator uses.

The audit log of the API server shows which permissions are used.
"""

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
    used = set()
    for entry in entries:
        target = entry.get("objectRef")
        if target is None or entry["user"]["username"] != OPERATOR_USER:
            continue  # discovery, which every user may do
        resource = target["resource"]
        if "subresource" in target:
            resource += f"/{target['subresource']}"
        used.add((target.get("apiGroup", ""), resource, entry["verb"]))
        if entry["verb"] == "patch" and entry.get("responseStatus", {}).get("code") == 201:
            used.add((target.get("apiGroup", ""), resource, "create"))
    return used


def test_the_granted_permissions_are_those_that_are_used(
    kube: Kube, operate_with: Operate, optional_crds: None
) -> None:
    all_features: dict[str, Any] = {
        "model": {
            "uri": "s3://bucket/model",
            "credentialsSecretRef": {"name": "store"},
            "cache": {"claimName": "packages"},
        },
        "batch": {},
        "autoscaling": {"maxReplicas": 3},
        "route": {"host": "h.example"},
    }
    no_features: dict[str, Any] = {"route": {"enabled": False}, "monitoring": {"enabled": False}}

    def count() -> int:
        kinds = "scaledobjects,triggerauthentications,servicemonitors,httproutes,hpa"
        return len(kube.list(kinds))

    kube.run("delete", "crd", "modeldeployments.serving.slipway.dev")
    with operate_with(routing="gateway"):
        kube.wait_for(lambda: kube.server.kubectl("get", "md").returncode == 0)
        kube.run("create", "secret", "generic", "store")
        kube.run("label", "secret", "store", "serving.slipway.dev/credentials=true")
        kube.apply(manifest(namespace=kube.namespace, **all_features))
        kube.wait_for(lambda: count() == 5)
        kube.apply(manifest(namespace=kube.namespace, **no_features))
        kube.wait_for(lambda: count() == 0)
    with operate_with():
        kube.apply(manifest(namespace=kube.namespace))
        kube.wait_for(lambda: kube.get("ingress", "minilm"))
        kube.apply(manifest(namespace=kube.namespace, **no_features))
        kube.wait_for(lambda: kube.get("ingress", "minilm") is None)
    used, granted = _used(kube.server.audit()), _granted()
    assert used <= granted, json.dumps(sorted(used - granted))
    assert granted <= used, json.dumps(sorted(granted - used))
