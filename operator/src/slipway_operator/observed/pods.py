"""The pods of one component: what is wrong with them, or how far they have come."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping

from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.kubernetes.objects import Object, get_condition
from slipway_operator.observed.containers import (
    find_container_fault,
    find_missing_secret,
    is_init_container,
)
from slipway_operator.observed.finding import Finding, fault, waiting

_MISSING_CLAIM = re.compile(r"persistentvolumeclaim \"([^\"]+)\" not found")
_PENDING_CLAIM = re.compile(r"unbound immediate PersistentVolumeClaims")
_INSUFFICIENT = re.compile(r"Insufficient ([\w./-]*\w)")
_MISSING_OBJECT = re.compile(r"(configmap|persistentvolumeclaim) \"[^\"]+\" not found")


def is_finished(pod: Object) -> bool:
    """Return whether a pod will never run again, for example after an eviction.

    It is replaced by another pod, and stays until it is deleted or garbage collected.
    """
    return pod.get("status", {}).get("phase") in ("Failed", "Succeeded")


def find_fault(
    pods: list[Object], mount_failures: Mapping[str, str], ignored: Container[Reason] = ()
) -> Finding | None:
    """Return the first fault whose reason is not ignored, or None.

    The newest pod is examined first, since it runs what the spec declares now. `mount_failures` has
    the kubelet's messages by the name of the pod.
    """
    newest_first = sorted(
        pods, key=lambda pod: pod["metadata"].get("creationTimestamp", ""), reverse=True
    )
    for pod in newest_first:
        if pod["metadata"].get("deletionTimestamp"):
            continue
        cause = _pod_fault(pod, mount_failures.get(pod["metadata"]["name"], ""))
        if cause is not None and cause.reason not in ignored:
            return cause
    return None


def describe_progress(pods: list[Object]) -> Finding:
    """Return how far pods have come that are neither ready nor faulty."""
    stages = [_stage(pod) for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    for reason, message in (
        (Reason.MODEL_LOADING, "the server runs and loads the model"),
        (Reason.MODEL_DOWNLOADING, "the model package is being downloaded"),
    ):
        if reason in stages:
            return waiting(reason, message)
    return waiting(Reason.STARTING, "pods are being scheduled and images pulled")


def _pod_fault(pod: Object, mount_failure: str) -> Finding | None:
    status = pod.get("status", {})
    name = pod["metadata"]["name"]
    scheduled = get_condition(pod, "PodScheduled")
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        return _scheduling_fault(pod, str(scheduled.get("message", "")))
    if status.get("phase") == "Failed" and status.get("reason") == "Evicted":
        return fault(Reason.EVICTED, f"pod `{name}` was evicted: {status.get('message', '')}")
    for each in _container_statuses(pod):
        cause = find_container_fault(pod, each)
        if cause is not None:
            return cause
    if mount_failure and _waits_for_volumes(pod):
        return _mount_fault(name, mount_failure)
    return None


def _scheduling_fault(pod: Object, message: str) -> Finding:
    if claim := _MISSING_CLAIM.search(message):
        return fault(Reason.VOLUME_CLAIM_NOT_FOUND, f"PersistentVolumeClaim `{claim[1]}` not found")
    if _PENDING_CLAIM.search(message):
        claims = ", ".join(f"`{name}`" for name in _claims(pod))
        return fault(Reason.VOLUME_CLAIM_PENDING, f"PersistentVolumeClaim {claims} is not bound")
    requests = [
        f"{container['resources']['requests'][resource]} {resource}"
        for resource in dict.fromkeys(_INSUFFICIENT.findall(message))
        for container in pod["spec"]["containers"]
        if resource in container.get("resources", {}).get("requests", {})
    ]
    needs = f" (each pod asks for {', '.join(requests)})" if requests else ""
    fact = message.partition(" preemption:")[0].rstrip(". ")
    return fault(Reason.UNSCHEDULABLE, f"no node has room for a pod{needs}: {fact}")


def _mount_fault(name: str, message: str) -> Finding:
    missing = find_missing_secret(message)
    if missing is not None:
        return missing
    fact = (
        message.rpartition("SetUp failed for ")[2] if _MISSING_OBJECT.search(message) else message
    )
    return fault(Reason.VOLUME_MOUNT_FAILED, f"pod `{name}` cannot mount {fact}")


def _claims(pod: Object) -> list[str]:
    return [
        volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["spec"].get("volumes") or []
        if "persistentVolumeClaim" in volume
    ]


def _container_statuses(pod: Object) -> list[Object]:
    status = pod.get("status", {})
    return [
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ]


def _waits_for_volumes(pod: Object) -> bool:
    return all(
        each.get("state", {}).get("waiting", {}).get("reason")
        in ("ContainerCreating", "PodInitializing")
        for each in _container_statuses(pod)
    )


def _stage(pod: Object) -> Reason:
    for each in _container_statuses(pod):
        if "running" in each.get("state", {}):
            is_download = is_init_container(pod, each["name"])
            return Reason.MODEL_DOWNLOADING if is_download else Reason.MODEL_LOADING
    return Reason.STARTING
