"""Events of a ModelDeployment: one for each turn that its readiness takes. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import uuid4

from slipway_operator.api.v1alpha1 import API_VERSION, KIND
from slipway_operator.api.v1alpha1.labels import MANAGER
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.api.v1alpha1.reasons import EXPLANATIONS, Reason
from slipway_operator.observed.finding import timestamp

MAX_MESSAGE_LENGTH = 1024


def ready_event(
    md: ModelDeployment, status: dict[str, Any], now: datetime
) -> dict[str, Any] | None:
    """The event of the change from the earlier status to this one; None when Ready is as it was."""
    ready = status["conditions"][0]
    before = next((each for each in md.status.conditions if each.type == "Ready"), None)
    if before and (before.status, before.reason) == (ready["status"], ready["reason"]):
        return None
    return _event(md, ready["reason"], ready["message"], now)


def _event(md: ModelDeployment, reason: str, message: str, now: datetime) -> dict[str, Any]:
    time = timestamp(now)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{md.name}.{uuid4().hex[:16]}", "namespace": md.namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": md.name,
            "namespace": md.namespace,
            "uid": md.uid,
        },
        "type": "Warning" if EXPLANATIONS[Reason(reason)].remedy else "Normal",
        "reason": reason,
        "message": message[:MAX_MESSAGE_LENGTH],
        "source": {"component": MANAGER},
        "reportingComponent": MANAGER,
        "reportingInstance": MANAGER,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }
