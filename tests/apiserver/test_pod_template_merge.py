"""A `podTemplate` is merged as the API server merges fields of several managers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.fixtures.modeldeployments import build_objects, model_deployment, platform
from tests.fixtures.operator_process import Kube

from slipway_operator.desired.merge import LIST_KEYS
from slipway_operator.kubernetes.capabilities import Capabilities
from slipway_operator.kubernetes.objects import Object

pytestmark = pytest.mark.apiserver

POD_SPEC = "io.k8s.api.core.v1.PodSpec"
NOT_IN_TEMPLATES = {"ephemeralContainers", "ownerReferences"}


def merged_lists(schemas: dict[str, Any], name: str, seen: set[str]) -> dict[str, tuple[str, ...]]:
    """Return the lists below a schema that the API server merges, with their keys."""
    if name in seen:
        return {}
    seen.add(name)
    found: dict[str, tuple[str, ...]] = {}
    for field, schema in schemas[name].get("properties", {}).items():
        if schema.get("x-kubernetes-list-type") == "map":
            found[field] = tuple(schema["x-kubernetes-list-map-keys"])
        for part in (schema, schema.get("items", {}), schema.get("additionalProperties", {})):
            references = [part, *part.get("allOf", [])] if isinstance(part, dict) else []
            for reference in references:
                if target := reference.get("$ref"):
                    found |= merged_lists(schemas, target.rpartition("/")[2], seen)
    return found


def test_lists_are_merged_by_the_keys_of_the_schema(kube: Kube) -> None:
    document = json.loads(kube.run("get", "--raw", "/openapi/v3/api/v1"))
    lists = merged_lists(document["components"]["schemas"], POD_SPEC, set())
    assert {k: v for k, v in lists.items() if k not in NOT_IN_TEMPLATES} == LIST_KEYS


POD_TEMPLATES: list[Object] = [
    {"volumes": [{"name": "cache", "persistentVolumeClaim": {"claimName": "shared"}}]},
    {
        "containers": [
            {
                "name": "server",
                "ports": [
                    {"name": "dns", "containerPort": 53},
                    {"name": "dns-udp", "containerPort": 53, "protocol": "UDP"},
                ],
                "env": [
                    {
                        "name": "SLIPWAY_LOG_LEVEL",
                        "valueFrom": {"configMapKeyRef": {"name": "c", "key": "level"}},
                    }
                ],
                "livenessProbe": {"tcpSocket": {"port": "http"}},
            }
        ]
    },
]


@pytest.mark.parametrize("spec", POD_TEMPLATES, ids=json.dumps)
def test_what_a_template_replaces_is_valid(kube: Kube, spec: Object) -> None:
    md = model_deployment(podTemplate={"spec": spec})
    objects = build_objects(md, platform(), Capabilities())
    deployment = next(each for each in objects if each["kind"] == "Deployment")
    deployment["metadata"]["namespace"] = kube.namespace
    apply = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
    kube.run(*apply, stdin=json.dumps(deployment))
