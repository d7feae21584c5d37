"""A Deployment and its pods: whether enough of them are ready and all of them are up to date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.kubernetes.objects import Object, get_condition
from slipway_operator.observed.finding import Finding, fault, holds, waiting
from slipway_operator.observed.pods import describe_progress, find_fault, is_finished

CAPACITY_REASONS = frozenset({Reason.UNSCHEDULABLE, Reason.QUOTA_EXCEEDED})
"""Faults that prevent further pods and do not affect running ones."""


@dataclass(frozen=True)
class Workload:
    """The observed Deployment and pods of one component."""

    deployment: Object | None
    pods: list[Object]
    mount_failures: Mapping[str, str]
    needed: int
    """Number of ready pods below which the component is not available."""
    was_rolled_out: bool = False
    """Whether the current spec was rolled out when the status was last written."""

    @property
    def ready(self) -> int:
        """Number of ready pods."""
        return int(self._status.get("readyReplicas", 0))

    @property
    def replicas(self) -> int:
        """Number of existing pods."""
        return int(self._status.get("replicas", 0))

    @property
    def ready_since(self) -> str:
        """Timestamp since when enough pods have been available; empty when they are not."""
        available = get_condition(self.deployment or {}, "Available")
        is_available = available.get("status") == "True"
        return str(available.get("lastTransitionTime", "")) if is_available else ""

    @property
    def _status(self) -> Object:
        return dict((self.deployment or {}).get("status") or {})

    def is_rolled_out(self) -> bool:
        """Return whether all pods have the current template and no older one is left."""
        if self.deployment is None:
            return False
        observed_generation = int(self._status.get("observedGeneration", 0))
        if observed_generation < int(self.deployment["metadata"].get("generation", 0)):
            # The figures belong to an earlier spec. A change by an autoscaler is no rollout.
            return self.was_rolled_out
        return int(self._status.get("updatedReplicas", 0)) == self.replicas and (
            self.replicas > 0 or self.needed == 0
        )

    def fault(self) -> Finding | None:
        """Return what prevents the desired pods, pods first, or None.

        While enough pods are ready, finished pods are ignored. When these are also up to date, so
        is a lack of capacity for further ones.
        """
        pods = self.pods
        if self.ready >= self.needed:
            pods = [pod for pod in pods if not is_finished(pod)]
        is_sufficient = self.ready >= self.needed > 0 and self.is_rolled_out()
        ignored = CAPACITY_REASONS if is_sufficient else frozenset()
        cause = find_fault(pods, self.mount_failures, ignored)
        if cause is None and self.deployment is not None:
            cause = _deployment_fault(self.deployment)
        return None if cause and cause.reason in ignored else cause

    def progress(self) -> Finding:
        """Return the condition Progressing: rolled out, under way, or stuck and why."""
        cause = self.fault()
        if cause is not None:
            return cause
        if self.is_rolled_out() and self.ready >= self.needed:
            return holds(Reason.ROLLED_OUT, "all pods run what the spec declares")
        if self.ready:
            updated = self._status.get("updatedReplicas", 0)
            message = f"{updated} of {max(self.replicas, self.needed)} pods run the new version"
            return waiting(Reason.ROLLING_OUT, f"{message}; the previous ones still serve")
        return describe_progress(self.pods)


def _deployment_fault(deployment: Object) -> Finding | None:
    failure = get_condition(deployment, "ReplicaFailure")
    if failure.get("status") == "True":
        message = str(failure.get("message", ""))
        if "exceeded quota" in message or "failed quota" in message:
            start = max(message.find("exceeded quota"), message.find("failed quota"))
            return fault(Reason.QUOTA_EXCEEDED, f"no pod can be created: {message[start:]}")
        return fault(Reason.POD_REFUSED, f"no pod can be created: {message}")
    progressing = get_condition(deployment, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return fault(Reason.ROLLOUT_DEADLINE_EXCEEDED, str(progressing.get("message", "")))
    return None
