"""What pod templates may set, against the admission of a real API server."""

from __future__ import annotations

import json

import pytest
from tests.fixtures.modeldeployments import build_objects, manifest, model_deployment, platform
from tests.fixtures.operator_process import Kube, Operate, RunningOperator, start
from tests.fixtures.pod_templates import ACCEPTED, Object

from slipway_operator.kubernetes.capabilities import Capabilities

pytestmark = pytest.mark.apiserver


@pytest.mark.parametrize("spec", ACCEPTED, ids=json.dumps)
def test_accepted_templates_give_pods_within_the_standard(kube: Kube, spec: Object) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    kube.run("label", "--overwrite", "namespace", kube.namespace, label)
    objects = build_objects(
        model_deployment(podTemplate={"spec": spec}), platform(), Capabilities()
    )
    deployment = next(each for each in objects if each["kind"] == "Deployment")
    pod = {"apiVersion": "v1", "kind": "Pod", **deployment["spec"]["template"]}
    pod["metadata"] = {**pod["metadata"], "name": "pod", "namespace": kube.namespace}
    kube.run("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=json.dumps(pod))


def test_a_refused_template_leaves_the_running_deployment_as_it_is(
    kube: Kube, operator: RunningOperator
) -> None:
    start(kube, batch={})
    kube.become_ready("minilm")
    kube.wait_for_reason("minilm", "Serving")
    before = kube.get("deployment", "minilm")
    batch_before = kube.get("deployment", "minilm-batch")
    assert before is not None
    assert batch_before is not None
    attack = {"containers": [{"name": "server", "securityContext": {"privileged": True}}]}
    kube.apply(manifest(namespace=kube.namespace, batch={}, podTemplate={"spec": attack}))
    condition = kube.wait_for_reason("minilm", "PodTemplateRefused")
    assert condition["status"] == "False"
    assert "containers[server].securityContext.privileged`: true" in condition["message"]
    assert "operator.podTemplate.allowedFields" in condition["message"]
    assert kube.condition("minilm", "Available")["status"] == "True"
    for name, live in (("minilm", before), ("minilm-batch", batch_before)):
        after = kube.get("deployment", name)
        assert after is not None
        assert after["metadata"]["generation"] == live["metadata"]["generation"]
    kube.apply(manifest(namespace=kube.namespace, batch={}))
    kube.wait_for_reason("minilm", "Serving")


def test_a_refused_template_starts_no_pod(kube: Kube, operator: RunningOperator) -> None:
    spec = {"hostPID": True, "serviceAccountName": "admin"}
    kube.apply(manifest(namespace=kube.namespace, podTemplate={"spec": spec}))
    kube.wait_for_reason("minilm", "PodTemplateRefused")
    assert kube.get("service", "minilm")
    assert kube.get("deployment", "minilm") is None


def test_a_required_sandbox_cannot_be_switched_off(kube: Kube, operate_with: Operate) -> None:
    with operate_with(sandbox="required"):
        own = {"containers": [{"name": "server", "env": [{"name": "MODEL_TABLE", "value": "t"}]}]}
        off = {"mode": "off"}
        body = manifest(namespace=kube.namespace, podTemplate={"spec": own})
        kube.apply({**body, "spec": {**body["spec"], "runtime": {"sandbox": off}}})
        live = kube.wait_for(lambda: kube.get("deployment", "minilm"))
        (container,) = live["spec"]["template"]["spec"]["containers"]
        environment = {each["name"]: each["value"] for each in container["env"]}
        assert environment["SLIPWAY_SANDBOX"] == "required"
        assert environment["MODEL_TABLE"] == "t"
        variable = {"name": "slipway_sandbox", "value": "off"}
        attack = {"containers": [{"name": "server", "env": [variable]}]}
        kube.apply(manifest(namespace=kube.namespace, podTemplate={"spec": attack}))
        condition = kube.wait_for_reason("minilm", "PodTemplateRefused")
        assert "containers[server].env[slipway_sandbox]`" in condition["message"]
        after = kube.get("deployment", "minilm")
        assert after is not None
        assert after["spec"]["template"] == live["spec"]["template"]


def test_the_platform_can_allow_a_field(kube: Kube, operate_with: Operate) -> None:
    with operate_with(pod_template_allowed_fields=("hostNetwork",)):
        kube.apply(manifest(namespace=kube.namespace, podTemplate={"spec": {"hostNetwork": True}}))
        live = kube.wait_for(lambda: kube.get("deployment", "minilm"))
        assert live["spec"]["template"]["spec"]["hostNetwork"] is True
