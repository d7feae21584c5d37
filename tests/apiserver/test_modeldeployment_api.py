"""Validation, defaults and help of the ModelDeployment API, which needs no webhook."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.modeldeployments import golden_cases, manifest
from tests.fixtures.operator_process import Kube

from slipway_operator.kubernetes.objects import Object

pytestmark = pytest.mark.apiserver

SAMPLES = sorted((Path(__file__).parents[2] / "manifests" / "samples").glob("*.yaml"))

ACCEPTED: list[Object] = [
    {},
    {"replicas": 0},
    {"autoscaling": {"minReplicas": 2, "maxReplicas": 2}},
    {"batch": {}},
    {"batch": {"enabled": False}},
    {"model": {"uri": "pvc://claim/path/to/model.tar.gz"}},
    {"model": {"uri": "s3://bucket/model", "sha256": "0" * 64}},
    {"model": {"uri": "hf://org/model@main"}},
    {"model": {"uri": "hf://bert-base-uncased@main"}},
    {"runtime": {"resources": {"requests": {"cpu": 2, "memory": "1.5Gi"}}}},
    {"runtime": {"resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": 1}}}},
    {"runtime": {"device": "cuda", "resources": {"limits": {"nvidia.com/gpu": 1}}}},
    {"runtime": {"sandbox": {"mode": "off", "network": True, "readPaths": ["/mnt/tables"]}}},
    {"route": {"host": "models.example.com", "tlsSecretName": "t", "default": True}},
    {"route": {"rateLimit": {"requestsPerSecond": 5}}},
    {"monitoring": {"interval": "1m"}},
    {"network": {"egress": [{"cidr": "10.0.0.0/8", "ports": [9000]}]}},
    {"network": {"egress": [{"cidr": "fd00::/8", "ports": [1]}, {"namespace": "s", "ports": [1]}]}},
    {"podTemplate": {"spec": {"anything": {"at": ["all"]}}}},
]

REJECTED: list[tuple[Object, str]] = [
    ({"model": {}}, "spec.model.uri: Required value"),
    ({"model": {"uri": "ftp://x"}}, "`uri` must start with package://"),
    ({"model": {"uri": "https://user:secret@x/y"}}, "must not carry credentials"),
    ({"model": {"uri": "hf://user:token@org/model"}}, "must not carry credentials"),
    ({"model": {"uri": "pvc://claim"}}, "pvc://claim/path"),
    ({"model": {"uri": "file:///models/../etc"}}, "must not contain '..'"),
    ({"model": {"uri": "package://x", "sha256": "ABC"}}, "64 lower-case hexadecimal digits"),
    (
        {"model": {"uri": "https://x", "cache": {"claimName": "c", "sizeLimit": "1Gi"}}},
        "give either `claimName` or `sizeLimit`",
    ),
    (
        {"replicas": 2, "autoscaling": {"maxReplicas": 3}},
        "`replicas` and `autoscaling` exclude each other: remove `replicas`",
    ),
    (
        {"autoscaling": {"minReplicas": 4, "maxReplicas": 3}},
        "`minReplicas` is above `maxReplicas`: raise `maxReplicas`",
    ),
    ({"autoscaling": {}}, "spec.autoscaling.maxReplicas: Required value"),
    ({"batch": {"minReplicas": 9}}, "`minReplicas` is above `maxReplicas`"),
    ({"replicas": -1}, "should be greater than or equal to 0"),
    ({"runtime": {"device": "cuda"}}, "`device` cuda needs a GPU: set `resources.limits`"),
    (
        {"runtime": {"device": "cpu", "resources": {"limits": {"nvidia.com/gpu": 1}}}},
        "which would idle",
    ),
    ({"runtime": {"device": "tpu"}}, 'supported values: "auto", "cpu", "cuda"'),
    (
        {"runtime": {"resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}}},
        "`requests.memory` is above `limits.memory`: raise the limit or lower the request",
    ),
    (
        {"runtime": {"resources": {"requests": {"cpu": 2}, "limits": {"cpu": "1500m"}}}},
        "`requests.cpu` is above `limits.cpu`",
    ),
    ({"runtime": {"resources": {"requests": {"cpu": "many"}}}}, "spec.runtime.resources"),
    (
        {"runtime": {"sandbox": {"readPaths": ["tables"]}}},
        "`readPaths` must hold absolute paths without colons",
    ),
    ({"runtime": {"sandbox": {"writePaths": ["/a:/b"]}}}, "`writePaths` must hold absolute paths"),
    ({"runtime": {"sandbox": {"mode": "on"}}}, 'supported values: "auto", "required", "off"'),
    ({"runtime": {"requestTimeoutSeconds": 0}}, "should be greater than or equal to 1"),
    ({"route": {"host": "Models.Example.com"}}, "`host` must be a lower-case DNS name"),
    ({"route": {"host": "models.example.com:8080"}}, "without port or path"),
    ({"route": {"tlsSecretName": "t"}}, "`tlsSecretName` needs `host`"),
    ({"route": {"rateLimit": {}}}, "requestsPerSecond: Required value"),
    ({"monitoring": {"interval": "fast"}}, "such as 15s or 1m"),
    ({"network": {"egress": [{"ports": [1]}]}}, "give either `cidr` or `namespace`"),
    (
        {"network": {"egress": [{"cidr": "10.0.0.0/8", "namespace": "s", "ports": [1]}]}},
        "give either `cidr` or `namespace`",
    ),
    ({"network": {"egress": [{"cidr": "10.0.0", "ports": [1]}]}}, "`cidr` must be a range"),
    ({"network": {"egress": [{"namespace": "s"}]}}, "ports: Required value"),
    ({"replica": 3}, 'unknown field "spec.replica"'),
    ({"runtime": {"maxBatchToken": 3}}, 'unknown field "spec.runtime.maxBatchToken"'),
]


def apply_dry_run(kube: Kube, body: Object) -> tuple[str, ...]:
    return ("apply", "--dry-run=server", "--validate=strict", "-f", "-")


@pytest.mark.parametrize("spec", ACCEPTED, ids=json.dumps)
def test_valid_specs_are_accepted(kube: Kube, spec: Object) -> None:
    body = manifest(namespace=kube.namespace, **spec)
    kube.run(*apply_dry_run(kube, body), stdin=json.dumps(body))


@pytest.mark.parametrize(
    ("spec", "message"), REJECTED, ids=[json.dumps(row[0]) for row in REJECTED]
)
def test_invalid_specs_are_rejected_with_the_remedy(kube: Kube, spec: Object, message: str) -> None:
    body = manifest(namespace=kube.namespace, **spec)
    assert message in kube.rejection(*apply_dry_run(kube, body), stdin=json.dumps(body))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a" * 51, "at most 50 characters"),
        ("1st", "must start with a letter"),
        ("a.b", "use only a-z, 0-9 and -"),
        ("minilm-batch", "must not end with '-batch'"),
    ],
)
def test_names_that_children_cannot_have_are_rejected(kube: Kube, name: str, message: str) -> None:
    body = manifest(name, kube.namespace)
    assert message in kube.rejection(*apply_dry_run(kube, body), stdin=json.dumps(body))


def test_defaults_are_filled_in(kube: Kube) -> None:
    kube.apply(manifest(namespace=kube.namespace, batch={}))
    md = kube.get("md", "minilm")
    assert md is not None
    spec = md["spec"]
    assert spec["runtime"]["requestTimeoutSeconds"] == 30
    assert spec["batch"]["maxReplicas"] == 4
    assert spec["route"]["maxRequestMebibytes"] == 64
    assert "replicas" not in spec


def test_manual_scaling_works_only_without_an_autoscaler(kube: Kube) -> None:
    kube.apply(manifest("fixed", kube.namespace))
    kube.run("scale", "md/fixed", "--replicas=3")
    md = kube.get("md", "fixed")
    assert md is not None
    assert md["spec"]["replicas"] == 3
    kube.apply(manifest("scaled", kube.namespace, autoscaling={"maxReplicas": 3}))
    assert "exclude each other" in kube.rejection("scale", "md/scaled", "--replicas=3")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("md", "A model that is served"),
        ("md.spec", "without a failed request"),
        ("md.spec.autoscaling", "percent of the CPU request"),
        ("md.spec.model.uri", "pvc://claim/path"),
        ("md.spec.route.rateLimit", "1 + requestsPerSecond x burstMultiplier"),
        ("md.status.conditions", "Ready summarises the others"),
    ],
)
def test_kubectl_explain_describes_the_fields(kube: Kube, path: str, text: str) -> None:
    assert text in " ".join(kube.run("explain", path).split())


def test_kubectl_get_prints_the_main_columns(kube: Kube) -> None:
    kube.apply(manifest(namespace=kube.namespace))
    header = kube.run("get", "md").splitlines()[0].split()
    assert header == ["NAME", "MODEL", "VERSION", "READY", "REASON", "REPLICAS", "URL", "AGE"]
    assert "minilm" in kube.run("get", "slipway")


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
def test_samples_are_accepted(kube: Kube, sample: Path) -> None:
    kube.run("apply", "--dry-run=server", "--validate=strict", "-f", str(sample))


BUILT_IN = ("v1", "apps/v1", "networking.k8s.io/v1", "policy/v1", "autoscaling/v2")


@pytest.mark.parametrize("case", golden_cases(), ids=lambda case: case.folder.name)
def test_every_built_object_is_valid_in_each_field(kube: Kube, case: Any) -> None:
    objects = [each for each in case.objects if each["apiVersion"] in BUILT_IN]
    for each in objects:
        each["metadata"]["namespace"] = kube.namespace
    text = "\n---\n".join(json.dumps(each) for each in objects)
    apply = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
    kube.run(*apply, stdin=text)
