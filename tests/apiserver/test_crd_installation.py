"""Installation of the CRD, and discovery of optional kinds."""

from __future__ import annotations

import pytest
from tests.fixtures.apiserver import ApiServer
from tests.fixtures.modeldeployments import manifest
from tests.fixtures.operator_process import Kube, Operate, RunningOperator

from slipway_operator.control.crd_installation import install_crd
from slipway_operator.generate.crd import CRD_VERSION_ANNOTATION
from slipway_operator.kubernetes.client import Client
from slipway_operator.kubernetes.kinds import MODEL_DEPLOYMENT

pytestmark = pytest.mark.apiserver

CRD_NAME = MODEL_DEPLOYMENT.crd_name


def annotate(kube: Kube, version: str) -> None:
    kube.run("annotate", "crd", CRD_NAME, f"{CRD_VERSION_ANNOTATION}={version}", "--overwrite")


def version_of(kube: Kube) -> str:
    crd = kube.get("crd", CRD_NAME)
    assert crd is not None
    return str(crd["metadata"]["annotations"][CRD_VERSION_ANNOTATION])


async def install(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(server.operator_kubeconfig))
    async with Client() as client:
        await install_crd(client)


async def test_an_older_crd_is_updated(kube: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
    current = version_of(kube)
    annotate(kube, "0.0.1")
    await install(kube.server, monkeypatch)
    assert version_of(kube) == current


async def test_a_newer_crd_is_left_alone(kube: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
    current = version_of(kube)
    annotate(kube, "99.0.0")
    await install(kube.server, monkeypatch)
    assert version_of(kube) == "99.0.0"
    annotate(kube, current)


def test_keda_and_prometheus_are_used_once_installed(
    kube: Kube, operator: RunningOperator, request: pytest.FixtureRequest
) -> None:
    kube.apply(manifest(namespace=kube.namespace, batch={}))
    kube.wait_for(lambda: kube.get("hpa", "minilm-batch"))
    kube.wait_for_reason("minilm", "KEDANotInstalled", "AutoscalingReady")
    request.getfixturevalue("optional_crds")
    kube.wait_for(lambda: kube.get("scaledobject", "minilm-batch"))
    kube.wait_for(lambda: kube.get("servicemonitor", "minilm"))
    kube.wait_for(lambda: kube.get("hpa", "minilm-batch") is None)
    kube.wait_for_reason("minilm", "WaitingForController", "AutoscalingReady")
    ready = {"type": "Ready", "status": "True"}
    kube.set_status("scaledobject", "minilm-batch", {"conditions": [ready]})
    kube.wait_for_reason("minilm", "Scaling", "AutoscalingReady")
    kube.run("delete", "scaledobject", "minilm-batch")
    kube.wait_for(lambda: kube.get("scaledobject", "minilm-batch"), seconds=10)


def test_the_operator_can_be_limited_to_one_namespace(kube: Kube, operate_with: Operate) -> None:
    outside = Kube(kube.server, "default")
    with operate_with(namespaces=(kube.namespace,)):
        kube.apply(manifest(namespace=kube.namespace))
        outside.apply(manifest("elsewhere", "default"))
        kube.wait_for(lambda: kube.get("deployment", "minilm"))
        kube.run("delete", "deployment", "minilm")
        kube.wait_for(lambda: kube.get("deployment", "minilm"))
        kube.apply(manifest("second", kube.namespace))
        kube.wait_for(lambda: kube.condition("second"))
    md = outside.get("md", "elsewhere")
    assert md is not None
    assert "status" not in md
    outside.run("delete", "md", "elsewhere")
