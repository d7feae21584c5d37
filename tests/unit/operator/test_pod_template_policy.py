"""Pod templates may set only what keeps pods within the Pod Security Standard `restricted`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.fixtures.modeldeployments import build_objects, model_deployment, platform
from tests.fixtures.pod_templates import ACCEPTED, REFUSED, Object

from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.kubernetes.capabilities import Capabilities
from slipway_operator.policy.pod_template import find_refusal

IDS = [f"{name}-{json.dumps(spec)}" for spec, name in REFUSED]


@pytest.mark.parametrize(("spec", "name"), REFUSED, ids=IDS)
@pytest.mark.parametrize("component", ["inference", "batch"])
def test_fields_beyond_the_standard_are_refused_by_name(
    spec: Object, name: str, component: str
) -> None:
    template = {"podTemplate": {"spec": spec}}
    md = model_deployment(**template if component == "inference" else {"batch": template})
    refusal = find_refusal(md, platform())
    assert refusal is not None
    assert refusal.reason == Reason.POD_TEMPLATE_REFUSED
    path = "spec.podTemplate.spec." if component == "inference" else "spec.batch.podTemplate.spec."
    assert refusal.fact.startswith(f"`{path}")
    assert f"as `{name}`" in refusal.fact


@pytest.mark.parametrize(("spec", "name"), REFUSED, ids=IDS)
def test_the_platform_can_allow_each_field_by_its_name(spec: Object, name: str) -> None:
    md = model_deployment(podTemplate={"spec": spec})
    assert find_refusal(md, platform(pod_template_allowed_fields=(name,))) is None
    outer = name.partition(".")[0]
    assert find_refusal(md, platform(pod_template_allowed_fields=(outer,))) is None


@pytest.mark.parametrize("spec", ACCEPTED, ids=json.dumps)
def test_fields_within_the_standard_are_accepted(spec: Object) -> None:
    assert find_refusal(model_deployment(podTemplate={"spec": spec}), platform()) is None


@pytest.mark.parametrize(
    ("profile", "is_refused"),
    [("unconfined", True), ("runtime/default", False), ("localhost/p", False)],
)
def test_annotations_cannot_lift_apparmor(profile: str, is_refused: bool) -> None:
    key = "container.apparmor.security.beta.kubernetes.io/server"
    md = model_deployment(podTemplate={"metadata": {"annotations": {key: profile}}})
    assert (find_refusal(md, platform()) is not None) is is_refused


def test_the_message_names_the_first_field_and_counts_the_others() -> None:
    container = {"name": "server", "securityContext": {"privileged": True, "runAsUser": 0}}
    md = model_deployment(podTemplate={"spec": {"containers": [container]}})
    refusal = find_refusal(md, platform())
    assert refusal is not None
    assert "`spec.podTemplate.spec.containers[server].securityContext.privileged`: true" in (
        refusal.fact
    )
    assert "(and 1 more)" in refusal.fact


def test_a_refused_modeldeployment_has_all_objects_but_its_deployments() -> None:
    def kinds(**spec: Any) -> set[tuple[str, str]]:
        objects = build_objects(model_deployment(**spec), platform(), Capabilities())
        return {(each["kind"], each["metadata"]["name"]) for each in objects}

    refused = kinds(batch={}, podTemplate={"spec": {"hostPID": True}})
    assert kinds(batch={}) - refused == {("Deployment", "minilm"), ("Deployment", "minilm-batch")}
