"""`slipway doctor --cluster` says what is missing in a cluster."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.fixtures.modeldeployments import manifest
from tests.fixtures.operator_process import Kube
from typer.testing import CliRunner

from slipway_cli.main import app

pytestmark = pytest.mark.apiserver

Object = dict[str, Any]
Findings = dict[str, Object]


def diagnose(kube: Kube) -> tuple[int, Findings]:
    """Return the exit code and the findings by check. Others use the same API server."""
    kubeconfig = str(kube.server.kubeconfig)
    command = ["doctor", "--cluster", "-o", "json", "--kubeconfig", kubeconfig]
    done = CliRunner().invoke(app, command)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    return done.exit_code, {each["check"]: each for each in json.loads(done.stdout)}


@pytest.fixture
def chart(kube: Kube, render: Callable[..., list[Object]]) -> Iterator[Callable[..., None]]:
    """A function that applies the operator's Deployment and the admission policy of the chart."""
    applied: list[Object] = []

    def apply(*options: str) -> None:
        api = "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"
        for each in render("--namespace", kube.namespace, "--api-versions", api, *options):
            is_operator = each["metadata"]["name"].endswith("operator")
            if is_operator and each["kind"] in ("Deployment", "ValidatingAdmissionPolicy"):
                applied.append(each)
                kube.apply(each)
        ready = {"replicas": 1, "readyReplicas": 1, "observedGeneration": 1}
        kube.set_status("deployment", "slipway-operator", ready)

    yield apply
    for each in applied:
        kube.run("delete", each["kind"], each["metadata"]["name"])


def test_an_empty_cluster_lacks_the_operator(kube: Kube) -> None:
    code, found = diagnose(kube)
    assert code == 1
    assert found["crd"]["state"] == "ok"
    assert found["operator"]["state"] == "fail"
    assert "helm install" in found["operator"]["remedy"]
    for check in ("metrics", "prometheus", "keda"):
        assert found[check]["state"] == "warn"
        assert "install" in found[check]["remedy"]


def test_a_complete_installation_has_no_failure(
    kube: Kube, chart: Callable[..., None], optional_crds: None
) -> None:
    chart("--set", "operator.namespaces=null")
    node = {"metadata": {"name": "node"}, "apiVersion": "v1", "kind": "Node"}
    daemons = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    plugin = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "calico-node", "namespace": kube.namespace},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": daemons},
    }
    kube.apply(node, plugin)
    info = dict.fromkeys(
        ("machineID", "systemUUID", "bootID", "osImage", "containerRuntimeVersion",
         "kubeletVersion", "kubeProxyVersion", "operatingSystem", "architecture"), "x"
    )  # fmt: skip
    kube.set_status("node", "node", {"nodeInfo": {**info, "kernelVersion": "6.8.0-31-generic"}})
    label = "pod-security.kubernetes.io/enforce=restricted"
    kube.run("label", "namespace", kube.namespace, label)
    kube.run("create", "secret", "generic", "store")
    kube.run("label", "secret", "store", "serving.slipway.dev/credentials=true")
    try:
        model = {"uri": "s3://b/m", "credentialsSecretRef": {"name": "store"}}
        kube.apply(manifest(namespace=kube.namespace, model=model))
        ready = {"type": "Ready", "status": "True", "reason": "Serving", "message": "",
                 "lastTransitionTime": "2026-01-01T00:00:00Z"}  # fmt: skip
        kube.set_status("md", "minilm", {"conditions": [ready], "sandbox": "Inactive"})
        code, found = diagnose(kube)
    finally:
        kube.run("delete", "node/node", "daemonset/calico-node")
    assert code == 0, found
    states = {check: each["state"] for check, each in found.items()}
    assert states.pop("metrics") == "warn"
    assert set(states.values()) == {"ok"}, found
    assert f"{kube.namespace}: *" in found["hosts"]["message"]
    assert found["sandbox"]["message"] == (
        f"mode auto, without sandbox: {kube.namespace}/minilm; "
        "Linux 6.8.0-31-generic or newer has Landlock unless disabled"
    )


def test_what_is_missing_is_named_with_its_remedy(kube: Kube, chart: Callable[..., None]) -> None:
    chart("--set", "routing.ingressClassName=absent", "--set", "operator.namespaces={other}")
    kube.run("create", "secret", "generic", "store")
    model = {"uri": "s3://b/m", "credentialsSecretRef": {"name": "store"}}
    kube.apply(manifest(namespace=kube.namespace, model=model))
    code, found = diagnose(kube)
    assert code == 1
    assert found["routes"]["message"] == "the cluster has no IngressClass absent"
    assert "routing.hosts.other" in found["hosts"]["remedy"]
    assert found["pods"]["remedy"] == (
        "kubectl label namespace other pod-security.kubernetes.io/enforce=restricted"
    )
    assert found["network"]["state"] == "warn"
    command = f"kubectl -n {kube.namespace} label secret store serving.slipway.dev/credentials=true"
    assert found["secrets"]["remedy"] == command
    assert f"{kube.namespace}/minilm" in found["models"]["message"]


def test_missing_rights_are_said(kube: Kube) -> None:
    kubeconfig = kube.server.folder / "nobody.yaml"
    text = kube.server.kubeconfig.read_text().replace("admin-of-the-test-cluster", "unknown")
    kubeconfig.write_text(text)
    done = CliRunner().invoke(app, ["doctor", "--cluster", "--kubeconfig", str(kubeconfig)])
    assert "cannot be read: Unauthorized" in done.output
    assert "use a kubeconfig" in done.output
