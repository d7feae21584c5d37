from __future__ import annotations

from typing import Any

import pytest

from slipway_operator.desired.merge import merge


@pytest.mark.parametrize(
    ("original", "patch", "expected"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
        ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        (
            {"containers": [{"name": "server", "image": "a"}]},
            {"containers": [{"name": "server", "env": [{"name": "X", "value": "1"}]}]},
            {
                "containers": [
                    {"name": "server", "image": "a", "env": [{"name": "X", "value": "1"}]}
                ]
            },
        ),
        (
            {"containers": [{"name": "server"}]},
            {"containers": [{"name": "sidecar", "image": "b", "command": None}]},
            {"containers": [{"name": "server"}, {"name": "sidecar", "image": "b"}]},
        ),
        (
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            {"env": [{"name": "B", "value": "3"}]},
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "3"}]},
        ),
        (
            {"ports": [{"containerPort": 53, "protocol": "TCP"}]},
            {
                "ports": [
                    {"containerPort": 53, "protocol": "UDP"},
                    {"containerPort": 53, "name": "d"},
                ]
            },
            {
                "ports": [
                    {"containerPort": 53, "protocol": "TCP", "name": "d"},
                    {"containerPort": 53, "protocol": "UDP"},
                ]
            },
        ),
        (
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]},
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]},
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {}}}]},
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}]},
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}]},
        ),
        (
            {"volumes": [{"name": "cache", "emptyDir": {"sizeLimit": "1Gi"}}]},
            {"volumes": [{"name": "cache", "persistentVolumeClaim": {"claimName": "c"}}]},
            {"volumes": [{"name": "cache", "persistentVolumeClaim": {"claimName": "c"}}]},
        ),
        (
            {"volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}]},
            {"volumes": [{"name": "tmp", "emptyDir": {"medium": "Memory"}}]},
            {"volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi", "medium": "Memory"}}]},
        ),
        (
            {"livenessProbe": {"httpGet": {"port": 1}, "periodSeconds": 2}},
            {"livenessProbe": {"exec": {"command": ["true"]}}},
            {"livenessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 2}},
        ),
        (
            {"topologySpreadConstraints": [{"topologyKey": "h", "whenUnsatisfiable": "A"}]},
            {"topologySpreadConstraints": [{"topologyKey": "h", "whenUnsatisfiable": "B"}]},
            {
                "topologySpreadConstraints": [
                    {"topologyKey": "h", "whenUnsatisfiable": "A"},
                    {"topologyKey": "h", "whenUnsatisfiable": "B"},
                ]
            },
        ),
        ({"tolerations": [{"key": "a"}]}, {"tolerations": []}, {"tolerations": []}),
        ({}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
    ],
)
def test_merges_by_the_keys_of_the_api_and_replaces_the_rest(
    original: Any, patch: Any, expected: Any
) -> None:
    before = repr(original)
    assert merge(original, patch) == expected
    assert repr(original) == before
