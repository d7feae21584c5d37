"""The condition AutoscalingReady: whether the autoscalers work."""

from __future__ import annotations

from datetime import datetime

from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.kubernetes.objects import Object, get_condition
from slipway_operator.observed.finding import Finding, fault, holds, waiting

METRICS_GRACE_SECONDS = 90
"""Time that the first metrics of new pods may take: metrics-server scrapes them once or twice."""

PERMANENT_FAILURES = (
    "could not find the requested resource",
    "unable to handle the request",
    "no matches for kind",
    "missing request for",
)
"""Messages of an HPA that waiting does not help: no metrics-server, or pods without CPU request."""


def check_hpa(hpa: Object | None, ready_since: str, now: datetime) -> Finding:
    """Return the state of an HPA.

    `ready_since` is the time since when its pods have been ready, empty while they are not.
    """
    if hpa is None:
        return waiting(Reason.WAITING_FOR_CONTROLLER, "the autoscaler is being created")
    able = get_condition(hpa, "AbleToScale")
    if able.get("status") == "False":
        return fault(Reason.AUTOSCALER_FAILED, str(able.get("message", able.get("reason", ""))))
    active = get_condition(hpa, "ScalingActive")
    if not active:
        return waiting(
            Reason.WAITING_FOR_CONTROLLER, "the autoscaler has not evaluated its target yet"
        )
    if active.get("status") == "True":
        return holds(Reason.SCALING, _range(hpa))
    if active.get("reason") == "ScalingDisabled":
        # The target has no pods. The operator starts one, so this is a fault if it lasts.
        return fault(Reason.AUTOSCALER_FAILED, str(active.get("message", "the target has no pod")))
    return _without_metrics(active, ready_since, now)


def check_scaled_object(live: Object | None) -> Finding:
    """Return the state of a ScaledObject of KEDA."""
    ready = get_condition(live or {}, "Ready")
    if ready.get("status") == "True":
        return holds(Reason.SCALING, "KEDA scales the workers by the length of the queue")
    if ready.get("status") == "False":
        return fault(Reason.AUTOSCALER_FAILED, f"KEDA: {ready.get('message', '')}")
    return waiting(Reason.WAITING_FOR_CONTROLLER, "KEDA has not processed the ScaledObject yet")


def _without_metrics(active: Object, ready_since: str, now: datetime) -> Finding:
    message = str(active.get("message", ""))
    if any(text in message for text in PERMANENT_FAILURES):
        return fault(Reason.METRICS_UNAVAILABLE, message)
    if not ready_since:
        return waiting(
            Reason.WAITING_FOR_METRICS, "no pod is ready whose CPU use could be measured"
        )
    since = max(_time(ready_since), _time(str(active["lastTransitionTime"])))
    remaining = METRICS_GRACE_SECONDS - (now - since).total_seconds()
    if remaining > 0:
        return waiting(
            Reason.WAITING_FOR_METRICS, "waiting for the first CPU metrics of the pods", remaining
        )
    return fault(Reason.METRICS_UNAVAILABLE, message)


def _range(hpa: Object) -> str:
    spec = hpa["spec"]
    current = hpa.get("status", {}).get("currentReplicas", 0)
    return f"{current} pods, between {spec.get('minReplicas', 1)} and {spec['maxReplicas']}"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
