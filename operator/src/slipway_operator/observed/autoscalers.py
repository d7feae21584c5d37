"""Whether the autoscalers can do their work."""

from __future__ import annotations

from datetime import datetime

from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.observed.finding import (
    Finding,
    Object,
    condition,
    fault,
    holds,
    waiting,
)

METRICS_GRACE_SECONDS = 90
"""How long the first figures of new pods may take: metrics-server needs one or two rounds."""

PERMANENT_FAILURES = (
    "could not find the requested resource",
    "unable to handle the request",
    "no matches for kind",
    "missing request for",
)
"""What an HPA says when waiting is no use: no metrics-server, or pods without a CPU request."""


def autoscaler(hpa: Object | None, ready_since: str, now: datetime) -> Finding:
    """What an HPA says. `ready_since` is when its pods became ready, empty while they are not."""
    if hpa is None:
        return waiting(Reason.WAITING_FOR_CONTROLLER, "the autoscaler is being created")
    able = condition(hpa, "AbleToScale")
    if able.get("status") == "False":
        return fault(Reason.AUTOSCALER_FAILED, str(able.get("message", able.get("reason", ""))))
    active = condition(hpa, "ScalingActive")
    if not active:
        return waiting(
            Reason.WAITING_FOR_CONTROLLER, "the autoscaler has not looked at its target yet"
        )
    if active.get("status") == "True":
        return holds(Reason.SCALING, _range(hpa))
    if active.get("reason") == "ScalingDisabled":
        # It does nothing until somebody starts a pod. The operator does; it shall be seen if not.
        return fault(Reason.AUTOSCALER_FAILED, str(active.get("message", "the target has no pod")))
    return _without_metrics(active, ready_since, now)


def _without_metrics(active: Object, ready_since: str, now: datetime) -> Finding:
    message = str(active.get("message", ""))
    if any(text in message for text in PERMANENT_FAILURES):
        return fault(Reason.METRICS_UNAVAILABLE, message)
    if not ready_since:
        return waiting(
            Reason.WAITING_FOR_METRICS, "no pod is ready whose CPU use could be measured"
        )
    since = max(_time(ready_since), _time(str(active["lastTransitionTime"])))
    left = METRICS_GRACE_SECONDS - (now - since).total_seconds()
    if left > 0:
        return waiting(
            Reason.WAITING_FOR_METRICS, "the first CPU figures of the pods are awaited", left
        )
    return fault(Reason.METRICS_UNAVAILABLE, message)


def scaled_object(live: Object | None) -> Finding:
    """What KEDA says of a ScaledObject."""
    ready = condition(live or {}, "Ready")
    if ready.get("status") == "True":
        return holds(Reason.SCALING, "KEDA scales the workers by the length of the queue")
    if ready.get("status") == "False":
        return fault(Reason.AUTOSCALER_FAILED, f"KEDA: {ready.get('message', '')}")
    return waiting(Reason.WAITING_FOR_CONTROLLER, "KEDA has not looked at the workers yet")


def _range(hpa: Object) -> str:
    spec = hpa["spec"]
    current = hpa.get("status", {}).get("currentReplicas", 0)
    return f"{current} pods, between {spec.get('minReplicas', 1)} and {spec['maxReplicas']}"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
