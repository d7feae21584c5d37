"""Secrets and claims that a ModelDeployment names."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fixtures.modeldeployments import model_deployment, platform

from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.policy.references import Reference, find_references, judge

GRANTED = {"serving.slipway.dev/credentials": "true"}
OF_RELEASE = {"app.kubernetes.io/instance": "slipway", "app.kubernetes.io/name": "slipway"}
PLATFORM = platform(platform_labels=OF_RELEASE, webhook_secret="webhooks")

FIELDS: list[tuple[dict[str, Any], str, str]] = [
    (
        {"model": {"uri": "s3://b/m", "credentialsSecretRef": {"name": "x"}}},
        "spec.model.credentialsSecretRef",
        "Secret",
    ),
    (
        {"model": {"uri": "s3://b/m", "cache": {"claimName": "x"}}},
        "spec.model.cache.claimName",
        "PersistentVolumeClaim",
    ),
    ({"model": {"uri": "pvc://x/path"}}, "spec.model.uri", "PersistentVolumeClaim"),
    *(
        ({"podTemplate": {"spec": spec}}, f"spec.podTemplate.spec.{path}", kind)
        for spec, path, kind in (
            (
                {"volumes": [{"name": "v", "secret": {"secretName": "x"}}]},
                "volumes[v].secret.secretName",
                "Secret",
            ),
            (
                {"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "x"}}]}}]},
                "volumes[v].projected.sources[0].secret",
                "Secret",
            ),
            (
                {"volumes": [{"name": "v", "csi": {"nodePublishSecretRef": {"name": "x"}}}]},
                "volumes[v].csi.nodePublishSecretRef",
                "Secret",
            ),
            (
                {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "x"}}]},
                "volumes[v].persistentVolumeClaim.claimName",
                "PersistentVolumeClaim",
            ),
            (
                {"containers": [{"name": "c", "envFrom": [{"secretRef": {"name": "x"}}]}]},
                "containers[c].envFrom[0].secretRef",
                "Secret",
            ),
            (
                {
                    "initContainers": [
                        {
                            "name": "c",
                            "env": [
                                {"name": "A", "valueFrom": {"secretKeyRef": {"name": "x"}}},
                            ],
                        }
                    ]
                },
                "initContainers[c].env[A].valueFrom.secretKeyRef",
                "Secret",
            ),
        )
    ),
    (
        {"batch": {"podTemplate": {"spec": {"volumes": [{"secret": {"secretName": "x"}}]}}}},
        "spec.batch.podTemplate.spec.volumes[0].secret.secretName",
        "Secret",
    ),
]


@pytest.mark.parametrize(("spec", "path", "kind"), FIELDS, ids=[row[1] for row in FIELDS])
def test_every_field_that_names_an_object_is_found(
    spec: dict[str, Any], path: str, kind: Any
) -> None:
    assert find_references(model_deployment(**spec)) == [Reference(path, kind, "x")]


@pytest.mark.parametrize(
    ("name", "labels", "reason"),
    [
        ("store", GRANTED, None),
        ("store", {}, Reason.REFERENCE_REFUSED),
        ("store", {"serving.slipway.dev/credentials": "false"}, Reason.REFERENCE_REFUSED),
        ("store", None, Reason.SECRET_NOT_FOUND),
        ("store", {**GRANTED, **OF_RELEASE}, Reason.REFERENCE_REFUSED),
        ("store", {**GRANTED, "app.kubernetes.io/part-of": "slipway"}, Reason.REFERENCE_REFUSED),
        ("slipway-postgresql", GRANTED, Reason.REFERENCE_REFUSED),
        ("slipway-redis", GRANTED, Reason.REFERENCE_REFUSED),
        ("webhooks", GRANTED, Reason.REFERENCE_REFUSED),
    ],
)
def test_secrets_need_the_label_and_must_not_be_the_platforms(
    name: str, labels: dict[str, str] | None, reason: Reason | None
) -> None:
    refusal = judge(Reference("spec.x", "Secret", name), "models", labels, PLATFORM)
    assert (refusal and refusal.reason) == reason
    assert refusal is None or refusal.retry_seconds


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({}, None),
        (None, None),
        ({"app.kubernetes.io/instance": "slipway"}, None),
        (OF_RELEASE, Reason.REFERENCE_REFUSED),
        ({**OF_RELEASE, "app.kubernetes.io/component": "postgresql"}, Reason.REFERENCE_REFUSED),
        ({"app.kubernetes.io/part-of": "slipway"}, Reason.REFERENCE_REFUSED),
    ],
)
def test_claims_of_the_platform_are_refused(
    labels: dict[str, str] | None, reason: Reason | None
) -> None:
    reference = Reference("spec.model.cache.claimName", "PersistentVolumeClaim", "data-0")
    refusal = judge(reference, "models", labels, PLATFORM)
    assert (refusal and refusal.reason) == reason


def test_the_refusal_states_the_command_for_the_label() -> None:
    refusal = judge(Reference("spec.x", "Secret", "store"), "models", {}, PLATFORM)
    assert refusal is not None
    command = "kubectl -n models label secret store serving.slipway.dev/credentials=true"
    assert f"`{command}`" in refusal.fact
