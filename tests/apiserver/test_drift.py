"""Drift of children is corrected; fields and objects of others are left alone."""

from __future__ import annotations

import asyncio

import pytest
from tests.fixtures.modeldeployments import manifest
from tests.fixtures.operator_process import (
    FIRST_CHILDREN,
    Kube,
    RunningOperator,
    children,
    kinds_of,
    operator_settings,
    start,
)

from slipway_operator.kubernetes.objects import Object

pytestmark = pytest.mark.apiserver

DRIFT: list[tuple[str, Object]] = [
    ("deployment", {"spec": {"replicas": 7}}),
    ("deployment", {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}}),
    ("service", {"spec": {"ports": [{"name": "http", "port": 81, "targetPort": "http"}]}}),
    ("ingress", {"metadata": {"annotations": {"nginx.ingress.kubernetes.io/limit-rps": "9999"}}}),
    ("networkpolicy", {"spec": {"ingress": [{}]}}),
    ("pdb", {"spec": {"maxUnavailable": 5}}),
    ("serviceaccount", {"automountServiceAccountToken": True}),
]


@pytest.mark.parametrize(("kind", "change"), DRIFT, ids=[str(row) for row in DRIFT])
def test_drift_of_a_child_is_corrected(
    kube: Kube, operator: RunningOperator, kind: str, change: Object
) -> None:
    start(kube, route={"rateLimit": {"requestsPerSecond": 5}})
    before = kube.get(kind, "minilm")
    assert before is not None
    kube.patch(kind, "minilm", change)

    def is_corrected() -> bool:
        live = kube.get(kind, "minilm") or {}
        token = "automountServiceAccountToken"
        return (
            live.get("spec") == before.get("spec")
            and live["metadata"]["annotations"] == before["metadata"]["annotations"]
            and live.get(token) == before.get(token)
        )

    kube.wait_for(is_corrected, seconds=10)


@pytest.mark.parametrize("kind", ["deployment", "service", "ingress", "serviceaccount"])
def test_a_deleted_child_is_recreated(kube: Kube, operator: RunningOperator, kind: str) -> None:
    start(kube)
    before = kube.get(kind, "minilm")
    assert before is not None
    kube.run("delete", kind, "minilm")

    def is_back() -> bool:
        live = kube.get(kind, "minilm")
        return live is not None and live["metadata"]["uid"] != before["metadata"]["uid"]

    kube.wait_for(is_back, seconds=10)


async def test_a_child_deleted_before_the_watches_start_is_recreated(
    kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    from slipway_operator.control.controller import Controller
    from slipway_operator.kubernetes.client import Client

    monkeypatch.setenv("KUBECONFIG", str(kube.server.operator_kubeconfig))
    kube.apply(manifest(namespace=kube.namespace))
    settings = operator_settings(namespaces=[kube.namespace])

    def delete_and_wait() -> None:
        kube.wait_for(lambda: kube.get("service", "minilm"))
        kube.run("delete", "service", "minilm")
        kube.wait_for(lambda: kube.get("service", "minilm"), seconds=10)

    async with Client(settings.namespaces) as client:
        controller = Controller(client, settings)  # nothing watches
        async with controller.running():
            await asyncio.to_thread(delete_and_wait)


def test_only_objects_that_are_no_longer_desired_are_pruned(
    kube: Kube, operator: RunningOperator
) -> None:
    foreign = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "foreign",
            "labels": {
                "app.kubernetes.io/managed-by": "slipway-operator",
                "serving.slipway.dev/model": "minilm",
            },
        },
        "spec": {"ports": [{"port": 80}]},
    }
    kube.apply(foreign)
    start(kube, batch={}, autoscaling={"maxReplicas": 3})
    kube.wait_for(lambda: kinds_of(kube, "minilm-batch") == {
        "Service", "Deployment", "HorizontalPodAutoscaler", "NetworkPolicy",
    })  # fmt: skip
    assert "HorizontalPodAutoscaler" in kinds_of(kube, "minilm")
    kube.apply(manifest(namespace=kube.namespace, route={"enabled": False}))
    kube.wait_for(lambda: kinds_of(kube, "minilm") == FIRST_CHILDREN - {"Ingress"})
    kube.wait_for(lambda: not kinds_of(kube, "minilm-batch"))
    assert ("Service", "foreign") in children(kube)
