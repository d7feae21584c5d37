"""The chart's ValidatingAdmissionPolicy reports refused pod templates when they are applied."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.fixtures.modeldeployments import manifest
from tests.fixtures.operator_process import Kube
from tests.fixtures.pod_templates import ACCEPTED, BYPASSES, HARMLESS, REFUSED, server

from slipway_operator.kubernetes.objects import Object

pytestmark = pytest.mark.apiserver

API = "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"
OF_THE_OPERATOR = (
    "sysctls.", "seccompProfile", "appArmorProfile.", "seLinuxOptions.", "capabilities", "ports.",
    "volumeMounts.", "lifecycle.", "livenessProbe.", "volumes.projected.", "volumes.ephemeral.",
    "procMount",
)  # fmt: skip
"""Fields whose values the policy does not know."""


def is_reported(spec: Object, name: str) -> bool:
    """Return whether the policy itself knows why a template is refused."""
    is_malformed = "server" in spec.values()
    removes = "null" in json.dumps(spec)
    return not (is_malformed or removes or any(part in name for part in OF_THE_OPERATOR))


REPORTED = [(spec, name) for spec, name in REFUSED if is_reported(spec, name)]

Apply = Callable[..., str]


@pytest.fixture
def policy(kube: Kube, render: Callable[..., list[Object]]) -> Iterator[Apply]:
    """A function that applies a ModelDeployment under the policy and returns the error, if any."""
    applied: list[Object] = []

    def install(*options: str) -> None:
        objects = render(
            "--namespace", kube.namespace, "--api-versions", API, *options,
            "--show-only", "templates/operator/admissionpolicy.yaml",
        )  # fmt: skip
        applied.extend(objects)
        kube.apply(*objects)

    def apply(spec: Object, *options: str, **other: Any) -> str:
        if not applied:
            install(*options)
            # The API server compiles a new policy in the background.
            kube.wait_for(lambda: submit({"hostPID": True, "hostIPC": True}), seconds=30)
        return submit(spec, **other)

    def submit(spec: Object, **other: Any) -> str:
        fields = {"podTemplate": {"spec": spec}, **other}
        body = json.dumps(manifest(namespace=kube.namespace, **fields))
        done = kube.server.kubectl("apply", "--dry-run=server", "-f", "-", stdin=body)
        return done.stderr if done.returncode else ""

    yield apply
    for each in applied:
        kube.run("delete", each["kind"], each["metadata"]["name"])


def test_refused_templates_are_reported_by_name(policy: Apply) -> None:
    assert len(REPORTED) > 20
    for spec, name in REPORTED:
        error = policy(spec)
        assert "PodTemplateRefused" in error, (spec, error)
        assert name in error, (spec, error)


def test_accepted_templates_pass(policy: Apply) -> None:
    for spec in ACCEPTED:
        assert policy(spec) == "", spec


def test_allowed_fields_pass(policy: Apply) -> None:
    names = "hostNetwork,volumes.hostPath,containers.securityContext.privileged"
    allowed = ("--set", f"operator.podTemplate.allowedFields={{{names}}}")
    container: dict[str, Any] = {"name": "server", "securityContext": {"privileged": True}}
    volume = {"name": "v", "hostPath": {"path": "/"}}
    spec = {"hostNetwork": True, "volumes": [volume], "containers": [container]}
    assert policy(spec, *allowed) == ""
    assert "hostPID" in policy({"hostPID": True})
    assert "volumes.nfs" in policy({"volumes": [{"name": "v", "nfs": {}}]})
    assert "initContainers.securityContext.privileged" in policy({"initContainers": [container]})


REQUIRED = ("--set", "sandbox.mode=required")


def test_a_bypass_of_a_required_sandbox_is_reported_by_name(policy: Apply) -> None:
    for spec, name in BYPASSES:
        # The operator alone knows values that are null or no list, and the platform's volumes.
        if name not in ("containers.env", "volumes.secrets"):
            error = policy(spec, *REQUIRED)
            assert "PodTemplateRefused" in error, (spec, error)
            assert name in error, (spec, error)
    for spec in HARMLESS:
        assert policy(spec) == "", spec
    assert "containers.image" in policy({}, runtime={"image": "own:1"})
    assert "containers.image" in policy({}, batch={"image": "own:1"})
    assert "sandbox.readPaths" in policy({}, runtime={"sandbox": {"readPaths": ["/var/run"]}})
    assert policy({}, runtime={"sandbox": {"readPaths": ["/mnt/tables"]}}) == ""


def test_what_the_platform_opens_beside_its_sandbox_passes(policy: Apply) -> None:
    names = "containers.env.LD_PRELOAD,containers.image"
    options = (*REQUIRED, "--set", f"operator.podTemplate.allowedFields={{{names}}}")
    preload = [{"name": "LD_PRELOAD", "value": "/usr/lib/libjemalloc.so"}]
    assert policy(server(env=preload, image="own:1"), *options) == ""
    assert "containers.env.LD_AUDIT" in policy(server(env=[{"name": "LD_AUDIT"}]))
    assert "containers.command" in policy(server(command=["sh"]))
    assert policy({}, runtime={"image": "own:1"}) == ""


def test_an_older_modeldeployment_can_still_be_labelled(kube: Kube, policy: Apply) -> None:
    kube.apply(manifest("older", kube.namespace, podTemplate={"spec": {"hostPID": True}}))
    assert policy({"hostPID": True})
    kube.run("label", "md", "older", "team=search")
    assert "PodTemplateRefused" in kube.rejection(
        "patch", "md", "older", "--type=merge", "--patch", '{"spec": {"replicas": 2}}'
    )
