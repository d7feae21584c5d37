"""A ModelDeployment that is not ready reports the cause as soon as the cluster shows it.

No kubelet runs here: the tests write its status updates.
"""

from __future__ import annotations

import time

import pytest
from tests.fixtures.modeldeployments import manifest
from tests.fixtures.operator_process import Kube, RunningOperator, create_pod

from slipway_operator.kubernetes.objects import Object

pytestmark = pytest.mark.apiserver


@pytest.fixture
def model(kube: Kube, operator: RunningOperator) -> str:
    """A ModelDeployment with a Deployment and no pods."""
    autoscaling = {"minReplicas": 1, "maxReplicas": 3}
    kube.apply(manifest(namespace=kube.namespace, autoscaling=autoscaling))
    kube.wait_for_reason("minilm", "Starting")
    kube.wait_for(lambda: kube.get("hpa", "minilm"))
    return "minilm"


def container(state: Object, last: Object | None = None) -> Object:
    status = {
        "name": "server",
        "image": "i",
        "imageID": "",
        "ready": False,
        "restartCount": 1,
        "state": state,
        "lastState": last or {},
    }
    return {"phase": "Pending", "containerStatuses": [status]}


BACK_OFF = {"waiting": {"reason": "CrashLoopBackOff"}}

CAUSES: list[tuple[str, Object, str]] = [
    (
        "ImagePullBackOff",
        container({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}),
        "check the image's name and tag",
    ),
    (
        "OOMKilled",
        container(BACK_OFF, {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}),
        "memory limit of 2Gi: raise `resources.limits.memory`",
    ),
    (
        "ModelIntegrityError",
        container(
            BACK_OFF,
            {
                "terminated": {
                    "exitCode": 1,
                    "message": '{"code": "ModelIntegrityError", "cause": "it has sha256 ab"}',
                }
            },
        ),
        "it has sha256 ab: correct `spec.model.sha256`",
    ),
    (
        "Unschedulable",
        {
            "phase": "Pending",
            "conditions": [
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "Unschedulable",
                    "message": "0/1 nodes are available: 1 Insufficient cpu.",
                }
            ],
        },
        "asks for 500m cpu",
    ),
]


@pytest.mark.parametrize(("reason", "status", "words"), CAUSES, ids=[row[0] for row in CAUSES])
def test_the_condition_explains_the_cause(
    kube: Kube, model: str, reason: str, status: Object, words: str
) -> None:
    create_pod(kube, model, status)
    condition = kube.wait_for_reason(model, reason)
    assert condition["status"] == "False"
    assert words in condition["message"]
    line = kube.run("get", "md", model, "--no-headers")
    assert reason in line


def test_a_resolved_cause_is_no_longer_reported(kube: Kube, model: str) -> None:
    pod = create_pod(kube, model, CAUSES[0][1])
    kube.wait_for_reason(model, "ImagePullBackOff")
    kube.run("delete", "pod", pod, "--grace-period=0", "--force")
    kube.wait_for_reason(model, "Starting")


def test_a_missing_secret_is_reported_from_the_kubelets_event(kube: Kube, model: str) -> None:
    waiting = {"waiting": {"reason": "ContainerCreating"}}
    pod = create_pod(kube, model, container(waiting))
    kube.apply(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{pod}.1"},
            "involvedObject": {"kind": "Pod", "namespace": kube.namespace, "name": pod},
            "reason": "FailedMount",
            "type": "Warning",
            "message": 'MountVolume.SetUp failed for volume "secrets" : secret "db" not found',
        }
    )
    condition = kube.wait_for_reason(model, "SecretNotFound")
    assert 'secret "db" not found: create it in this namespace' in condition["message"]


def test_an_exceeded_quota_is_reported_from_the_deployment(kube: Kube, model: str) -> None:
    message = 'pods "minilm-1" is forbidden: exceeded quota: small, requested: requests.cpu=500m'
    failure = {"type": "ReplicaFailure", "status": "True", "message": message}
    kube.set_status("deployment", model, {"observedGeneration": 1, "conditions": [failure]})
    condition = kube.wait_for_reason(model, "QuotaExceeded")
    assert "exceeded quota: small" in condition["message"]
    assert "raise the ResourceQuota" in condition["message"]


def test_missing_metrics_are_reported_while_pods_serve(kube: Kube, model: str) -> None:
    kube.become_ready(model)
    kube.wait_for_reason(model, "Serving")
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    inactive = {
        "type": "ScalingActive",
        "status": "False",
        "reason": "FailedGetResourceMetric",
        "message": "the server could not find the requested resource (get pods.metrics.k8s.io)",
        "lastTransitionTime": now,
    }
    kube.set_status(
        "hpa", model, {"currentReplicas": 1, "desiredReplicas": 1, "conditions": [inactive]}
    )
    condition = kube.wait_for_reason(model, "MetricsUnavailable")
    assert "install metrics-server" in condition["message"]
    assert kube.condition(model, "Available")["status"] == "True"
