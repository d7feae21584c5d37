"""The operator reads the labels of what a ModelDeployment names, and nothing else of it."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from tests.fixtures.modeldeployments import manifest
from tests.fixtures.operator_process import Kube, Operate, RunningOperator, start

from slipway_operator.policy import references

pytestmark = pytest.mark.apiserver

OF_RELEASE = {"app.kubernetes.io/instance": "release", "app.kubernetes.io/name": "slipway"}
LABEL = "serving.slipway.dev/credentials=true"


def download(secret: str) -> dict[str, object]:
    return {"uri": "s3://bucket/model", "version": "2", "credentialsSecretRef": {"name": secret}}


@pytest.fixture(autouse=True)
def _retry_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "RETRY_SECONDS", 0.5)


def test_a_secret_is_used_once_it_is_labelled(kube: Kube, operator: RunningOperator) -> None:
    start(kube)
    before = kube.wait_for(lambda: kube.get("deployment", "minilm"))
    kube.apply(manifest(namespace=kube.namespace, model=download("store")))
    kube.wait_for_reason("minilm", "SecretNotFound")
    kube.run("create", "secret", "generic", "store", "--from-literal=credentials=hidden")
    message = kube.wait_for_reason("minilm", "ReferenceRefused")["message"]
    after = kube.get("deployment", "minilm")
    assert after is not None
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    command = message.partition("`kubectl ")[2].partition("`")[0].split()
    kube.run(*command)
    live = kube.wait_for(
        lambda: kube.get("deployment", "minilm")["spec"]["template"]["spec"].get("initContainers")  # type: ignore[index]
    )
    assert live[0]["name"] == "fetch-model"


def test_the_contents_of_secrets_are_never_requested(
    kube: Kube, operator: RunningOperator, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies: list[str] = []
    original = httpx2.AsyncClient.send

    async def record(
        client: httpx2.AsyncClient, request: httpx2.Request, **options: Any
    ) -> httpx2.Response:
        response = await original(client, request, **options)
        if "/secrets/" in str(request.url):
            bodies.append(response.text)
        return response

    monkeypatch.setattr(httpx2.AsyncClient, "send", record)
    kube.run("create", "secret", "generic", "store", "--from-literal=credentials=hidden")
    kube.run("label", "secret", "store", LABEL)
    kube.apply(manifest(namespace=kube.namespace, model=download("store")))
    kube.wait_for(lambda: kube.get("deployment", "minilm"))
    assert bodies
    assert all(json.loads(body)["kind"] == "PartialObjectMetadata" for body in bodies)


def test_objects_of_the_platform_are_out_of_reach(kube: Kube, operate_with: Operate) -> None:
    meta = {"name": "data-release-postgresql-0", "namespace": kube.namespace, "labels": OF_RELEASE}
    size = {"resources": {"requests": {"storage": "1Gi"}}, "accessModes": ["ReadWriteOnce"]}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": size}
    kube.apply(claim)
    kube.run("create", "secret", "generic", "slipway-postgresql")
    kube.run("label", "secret", "slipway-postgresql", LABEL)
    cache = {"uri": "s3://b/m", "cache": {"claimName": meta["name"]}}
    volume = {"name": "v", "secret": {"secretName": "slipway-postgresql"}}
    with operate_with(platform_labels=OF_RELEASE):
        kube.apply(
            manifest("cache", kube.namespace, model=cache),
            manifest("volume", kube.namespace, podTemplate={"spec": {"volumes": [volume]}}),
        )
        for name, field in (("cache", "cache.claimName"), ("volume", "volumes[v].secret")):
            assert field in kube.wait_for_reason(name, "ReferenceRefused")["message"]
            assert kube.get("deployment", name) is None
