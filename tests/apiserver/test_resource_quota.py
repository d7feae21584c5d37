"""Every container of an installation has what a ResourceQuota demands, once the values give it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.fixtures.chart import CHART
from tests.fixtures.modeldeployments import build_objects, model_deployment, platform
from tests.fixtures.operator_process import Kube

from slipway_operator.kubernetes.capabilities import Capabilities

pytestmark = pytest.mark.apiserver

Object = dict[str, Any]
AMOUNTS = {"cpu": "1000", "memory": "1000Gi"}
HARD = {f"{part}.{name}": AMOUNTS[name] for part in ("requests", "limits") for name in AMOUNTS}


@pytest.fixture
def quota(kube: Kube) -> Kube:
    """A namespace with a ResourceQuota, as the quota controller publishes it."""
    meta = {"name": "all", "namespace": kube.namespace}
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": HARD}}
    kube.apply(body)
    kube.set_status("resourcequota", "all", {"hard": HARD, "used": dict.fromkeys(HARD, "0")})
    return kube


def pods_of(manifests: list[Object]) -> Iterator[Object]:
    """Yield the pods that controllers would create from the manifests."""
    for each in manifests:
        if each["kind"] == "ModelDeployment":
            model = {**each["spec"]["model"], "uri": "s3://bucket/model"}
            md = model_deployment(each["metadata"]["name"], **{**each["spec"], "model": model})
            yield from pods_of(build_objects(md, platform(), Capabilities()))
        elif each["kind"] in ("Deployment", "Job", "StatefulSet"):
            name = f"{each['kind'].lower()}-{each['metadata']['name']}"
            spec = each["spec"]["template"]["spec"]
            claims = [
                {"name": claim["metadata"]["name"], "emptyDir": {}}
                for claim in each["spec"].get("volumeClaimTemplates", [])
            ]
            volumes = [*spec.get("volumes", []), *claims]
            yield {"metadata": {"name": name}, "spec": {**spec, "volumes": volumes}}
        elif each["kind"] == "Pod":
            yield {"metadata": {"name": each["metadata"]["name"]}, "spec": each["spec"]}


def refusals(kube: Kube, manifests: list[Object]) -> dict[str, str]:
    """Return the error of each pod that the API server does not admit."""
    found = {}
    for pod in pods_of(manifests):
        text = json.dumps({"apiVersion": "v1", "kind": "Pod", **pod})
        done = kube.server.kubectl(
            "-n", kube.namespace, "create", "--dry-run=server", "-f", "-", stdin=text
        )
        if done.returncode:
            found[pod["metadata"]["name"]] = done.stderr
    return found


def test_every_pod_is_admitted_under_a_quota(
    quota: Kube, render: Callable[..., list[Object]]
) -> None:
    manifests = render("--values", CHART / "ci" / "quota-values.yaml")
    names = {pod["metadata"]["name"] for pod in pods_of(manifests)}
    assert {"deployment-minilm", "deployment-minilm-batch", "job-slipway-migrate"} <= names
    assert len(names) >= 9
    assert refusals(quota, manifests) == {}


def test_the_quota_counts_in_this_test(quota: Kube, render: Callable[..., list[Object]]) -> None:
    refused = refusals(quota, render())
    assert refused
    assert all("must specify limits.cpu" in error for error in refused.values()), refused


@pytest.mark.parametrize("name", ["migrate", "migrate-early", "passwords-1", "test-predict"])
def test_jobs_and_tests_are_placed_by_values(
    render: Callable[..., list[Object]], name: str
) -> None:
    manifests = render("--values", CHART / "ci" / "quota-values.yaml")
    (spec,) = (
        each["spec"]["template"]["spec"] if each["kind"] == "Job" else each["spec"]
        for each in manifests
        if each["kind"] in ("Job", "Pod") and each["metadata"]["name"] == f"slipway-{name}"
    )
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert spec["tolerations"][0]["key"] == "dedicated"
