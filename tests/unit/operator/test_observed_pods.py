"""Faults and progress of pods: one row for each way in which a pod can fail."""

from __future__ import annotations

import json
from typing import Any

import pytest

from slipway_operator.api.v1alpha1.reasons import EXPLANATIONS, Reason
from slipway_operator.kubernetes.objects import Object
from slipway_operator.observed.pods import describe_progress, find_fault


def pod(status: Object, name: str = "minilm-1", **spec: Any) -> Object:
    server = {
        "name": "server",
        "image": "slipway-inference:1",
        "resources": {
            "requests": {"cpu": "500m", "memory": "64Gi"},
            "limits": {"memory": "64Gi"},
        },
    }
    fetch = {"name": "fetch-model", "image": "slipway-inference:1"}
    return {
        "metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"containers": [server], "initContainers": [fetch], **spec},
        "status": status,
    }


def server(state: Object, last: Object | None = None, *, ready: bool = False) -> Object:
    status = {"name": "server", "ready": ready, "state": state, "lastState": last or {}}
    return {"phase": "Running", "containerStatuses": [status]}


def fetch(state: Object, last: Object | None = None) -> Object:
    status = {"name": "fetch-model", "ready": False, "state": state, "lastState": last or {}}
    waiting = {"name": "server", "ready": False, "state": waits("PodInitializing")}
    return {"phase": "Pending", "initContainerStatuses": [status], "containerStatuses": [waiting]}


def unschedulable(message: str) -> Object:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    return {"phase": "Pending", "conditions": [{**condition, "message": message}]}


def waits(reason: str, message: str = "") -> Object:
    return {"waiting": {"reason": reason, "message": message}}


def ended(code: int, message: str = "", reason: str = "Error") -> Object:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


BACK_OFF = waits("CrashLoopBackOff", "back-off 10s restarting failed container")
REPORT = json.dumps({"code": "ModelIntegrityError", "message": "the package has sha256 ab, not cd"})
LOG = "\n".join(
    [
        '{"level": "info", "event": "starting"}',
        '{"level": "error", "event": "no such model at https://x", "code": "ModelNotFound"}',
        "Traceback (most recent call last):",
    ]
)

FAULTS = [
    (
        server(waits("ImagePullBackOff", "Back-off pulling image")),
        Reason.IMAGE_PULL_BACK_OFF,
        "`slipway-inference:1`",
    ),
    (server(waits("ErrImagePull", "not found")), Reason.IMAGE_PULL_BACK_OFF, "not found"),
    (server(waits("InvalidImageName", "bad")), Reason.IMAGE_PULL_BACK_OFF, "bad"),
    (
        server(BACK_OFF, ended(137, reason="OOMKilled")),
        Reason.OOM_KILLED,
        "memory limit of 64Gi",
    ),
    (server({"running": {}}, ended(137, reason="OOMKilled")), Reason.OOM_KILLED, "64Gi"),
    (fetch(BACK_OFF, ended(1, REPORT)), Reason.MODEL_INTEGRITY_ERROR, "has sha256 ab, not cd"),
    (fetch(ended(1, LOG)), Reason.MODEL_NOT_FOUND, "no such model at https://x"),
    (server(BACK_OFF, ended(1, '{"code": "ModelLoadFailed"}')), Reason.MODEL_LOAD_FAILED, "Load"),
    (
        server(BACK_OFF, ended(1, 'x\n{"code": "ModelLoadFailed", "cause": "no key a\u2028b"}')),
        Reason.MODEL_LOAD_FAILED,
        "no key a b",
    ),
    (
        server(BACK_OFF, ended(1, "ImportError: no module named x\n")),
        Reason.CRASH_LOOP_BACK_OFF,
        "ended with exit status 1: ImportError: no module named x",
    ),
    (
        server(BACK_OFF, ended(1, '{"code": "ModelLoadFailed", "cause": "no key layer.0"}')),
        Reason.MODEL_LOAD_FAILED,
        "no key layer.0",
    ),
    (
        server(BACK_OFF, ended(1, "the engine process ended while it loaded (exit status -9); x")),
        Reason.OOM_KILLED,
        "an engine of container `server` was killed",
    ),
    (
        server(BACK_OFF, ended(2, "the settings cannot be used: SLIPWAY_PORT: too big\n")),
        Reason.INVALID_SETTINGS,
        "SLIPWAY_PORT: too big",
    ),
    (server(BACK_OFF, ended(137)), Reason.CRASH_LOOP_BACK_OFF, "exit status 137, killed"),
    (server(BACK_OFF, ended(0, reason="Completed")), Reason.CRASH_LOOP_BACK_OFF, "status 0"),
    (server(ended(3, '{"code": "Unheard"}')), Reason.CRASH_LOOP_BACK_OFF, "exit status 3"),
    (server(ended(3, '["code"]')), Reason.CRASH_LOOP_BACK_OFF, "exit status 3"),
    (
        server(waits("CreateContainerConfigError", 'secret "hub" not found')),
        Reason.SECRET_NOT_FOUND,
        '"hub" not found',
    ),
    (
        server(waits("CreateContainerConfigError", "image will run as root")),
        Reason.CONTAINER_CONFIG_INVALID,
        "run as root",
    ),
    (
        unschedulable("0/1 nodes are available: 1 Insufficient memory. preemption: none"),
        Reason.UNSCHEDULABLE,
        "asks for 64Gi memory): 0/1 nodes are available: 1 Insufficient memory: lower",
    ),
    (
        unschedulable("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity"),
        Reason.UNSCHEDULABLE,
        "didn't match",
    ),
    (
        unschedulable('persistentvolumeclaim "models" not found'),
        Reason.VOLUME_CLAIM_NOT_FOUND,
        "`models` not found",
    ),
    (
        unschedulable("pod has unbound immediate PersistentVolumeClaims"),
        Reason.VOLUME_CLAIM_PENDING,
        "is not bound",
    ),
    (
        {"phase": "Failed", "reason": "Evicted", "message": "low on memory"},
        Reason.EVICTED,
        "low on memory",
    ),
]


@pytest.mark.parametrize(("status", "reason", "words"), FAULTS)
def test_a_fault_has_its_reason_the_fact_and_the_remedy(
    status: Object, reason: Reason, words: str
) -> None:
    fault = find_fault([pod(status)], {})
    assert fault is not None
    assert fault.status == "False"
    assert fault.reason is reason
    assert words in fault.message
    assert fault.message.endswith(EXPLANATIONS[reason].remedy)


@pytest.mark.parametrize(
    ("message", "reason", "words"),
    [
        (
            'MountVolume.SetUp failed for volume "secrets" : secret "db" not found',
            Reason.SECRET_NOT_FOUND,
            'secret "db" not found',
        ),
        (
            'MountVolume.SetUp failed for volume "secrets" : references non-existent secret key: u',
            Reason.SECRET_NOT_FOUND,
            "non-existent secret key: u",
        ),
        ("Unable to attach or mount volumes: timed out", Reason.VOLUME_MOUNT_FAILED, "timed out"),
    ],
)
def test_a_volume_that_cannot_be_mounted(message: str, reason: Reason, words: str) -> None:
    broken = pod(server(waits("ContainerCreating")))
    fault = find_fault([broken], {"minilm-1": message})
    assert fault is not None
    assert fault.reason is reason
    assert words in fault.message


@pytest.mark.parametrize(
    "status",
    [
        {},
        server(waits("ContainerCreating")),
        server({"running": {}}),
        server({"running": {}}, ended(1, "earlier"), ready=True),
        fetch({"running": {}}),
        fetch({"terminated": {"exitCode": 0}}),
    ],
)
def test_a_starting_pod_has_no_fault(status: Object) -> None:
    assert find_fault([pod(status)], {}) is None


def test_an_earlier_mount_failure_is_no_fault_of_a_running_pod() -> None:
    assert find_fault([pod(server({"running": {}}))], {"minilm-1": "secret missing"}) is None


def test_a_terminating_pod_is_ignored() -> None:
    going = pod(server(BACK_OFF, ended(1)))
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert find_fault([going], {}) is None


def test_the_newest_pod_is_examined_first() -> None:
    old, new = pod(server(BACK_OFF, ended(1)), "old"), pod(unschedulable("no node"), "new")
    new["metadata"]["creationTimestamp"] = "2026-02-01T00:00:00Z"
    fault = find_fault([old, new], {})
    assert fault is not None
    assert fault.reason is Reason.UNSCHEDULABLE


@pytest.mark.parametrize(
    ("statuses", "reason"),
    [
        ([], Reason.STARTING),
        ([{}], Reason.STARTING),
        ([fetch({"running": {}})], Reason.MODEL_DOWNLOADING),
        ([fetch({"running": {}}), server({"running": {}})], Reason.MODEL_LOADING),
    ],
)
def test_progress_is_that_of_the_most_advanced_pod(statuses: list[Object], reason: Reason) -> None:
    assert describe_progress([pod(status) for status in statuses]).reason is reason


def test_long_messages_are_truncated() -> None:
    fault = find_fault([pod(server(ended(1, "x" * 5000)))], {})
    assert fault is not None
    assert len(fault.message) < 1000


def test_every_reason_is_explained_and_every_fault_has_a_remedy() -> None:
    assert set(EXPLANATIONS) == set(Reason)
    well = {
        Reason.SERVING, Reason.ROLLED_OUT, Reason.ROLLING_OUT, Reason.STARTING,
        Reason.MODEL_DOWNLOADING, Reason.MODEL_LOADING, Reason.APPLIED, Reason.ROUTED,
        Reason.SCALING, Reason.WAITING_FOR_METRICS, Reason.WAITING_FOR_CONTROLLER, Reason.WORKING,
        Reason.WAITING_FOR_WORK,
    }  # fmt: skip
    assert {reason for reason in Reason if not EXPLANATIONS[reason].remedy} == well
