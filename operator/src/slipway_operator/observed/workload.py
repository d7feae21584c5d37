"""What a Deployment and its pods come to: enough of them, and all of them as declared?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.observed.finding import (
    Finding,
    Object,
    condition,
    fault,
    holds,
    waiting,
)
from slipway_operator.observed.pods import find_pods_fault, is_finished, pods_progress

CAPACITY_REASONS = frozenset({Reason.UNSCHEDULABLE, Reason.QUOTA_EXCEEDED})
"""Faults that keep further pods away and do not harm those that run."""


@dataclass(frozen=True)
class Workload:
    """One component as found; `needed` is the number of pods below which it does not count as
    available, and `was_rolled_out` says that the present spec was rolled out when last seen.
    """

    deployment: Object | None
    pods: list[Object]
    mount_failures: Mapping[str, str]
    needed: int
    was_rolled_out: bool = False

    @property
    def ready(self) -> int:
        """Pods that are ready."""
        return int(self._status.get("readyReplicas", 0))

    @property
    def replicas(self) -> int:
        """Pods that exist."""
        return int(self._status.get("replicas", 0))

    @property
    def ready_since(self) -> str:
        """Since when enough pods are there, as a timestamp; empty when they are not."""
        found = condition(self.deployment or {}, "Available")
        return str(found.get("lastTransitionTime", "")) if found.get("status") == "True" else ""

    @property
    def _status(self) -> Object:
        return dict((self.deployment or {}).get("status") or {})

    def is_rolled_out(self) -> bool:
        """Whether every pod is of the present template, and none of an earlier one is left."""
        if self.deployment is None:
            return False
        seen = int(self._status.get("observedGeneration", 0))
        if seen < int(self.deployment["metadata"].get("generation", 0)):
            # The figures are of an earlier spec. An autoscaler's change is no rollout.
            return self.was_rolled_out
        return int(self._status.get("updatedReplicas", 0)) == self.replicas and (
            self.replicas > 0 or self.needed == 0
        )

    def fault(self) -> Finding | None:
        """What keeps the pods from being as declared, the kubelet's words first. While as many are
        ready as are needed, neither pods that ended nor room for further ones are missed.
        """
        pods = self.pods
        if self.ready >= self.needed:
            pods = [pod for pod in pods if not is_finished(pod)]
        spare = self.ready >= self.needed > 0 and self.is_rolled_out()
        forgiven = CAPACITY_REASONS if spare else frozenset()
        found = find_pods_fault(pods, self.mount_failures, forgiven)
        if found is None and self.deployment is not None:
            found = _deployment_fault(self.deployment)
        return None if found and found.reason in forgiven else found

    def progress(self) -> Finding:
        """The condition Progressing: rolled out, on the way, or stuck and why."""
        found = self.fault()
        if found is not None:
            return found
        if self.is_rolled_out() and self.ready >= self.needed:
            return holds(Reason.ROLLED_OUT, "all pods run what the spec declares")
        if self.ready:
            updated = self._status.get("updatedReplicas", 0)
            message = f"{updated} of {max(self.replicas, self.needed)} pods run the new version"
            return waiting(Reason.ROLLING_OUT, f"{message}; the earlier ones still answer")
        return pods_progress(self.pods)


def _deployment_fault(deployment: Object) -> Finding | None:
    failure = condition(deployment, "ReplicaFailure")
    if failure.get("status") == "True":
        message = str(failure.get("message", ""))
        if "exceeded quota" in message or "failed quota" in message:
            start = max(message.find("exceeded quota"), message.find("failed quota"))
            return fault(Reason.QUOTA_EXCEEDED, f"no pod can be created: {message[start:]}")
        return fault(Reason.POD_REFUSED, f"no pod can be created: {message}")
    progressing = condition(deployment, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return fault(Reason.ROLLOUT_DEADLINE_EXCEEDED, str(progressing.get("message", "")))
    return None
