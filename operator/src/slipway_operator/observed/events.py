"""Events of a ModelDeployment: one for each change of its condition Ready."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

from slipway_operator.api.v1alpha1 import API_VERSION, KIND
from slipway_operator.api.v1alpha1.labels import MANAGER
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.api.v1alpha1.reasons import EXPLANATIONS, Reason
from slipway_operator.kubernetes.objects import Object, format_timestamp

MAX_NOTE_LENGTH = 1024
"""Maximum number of characters of an event's message; the API server rejects longer ones."""


def build_ready_event(md: ModelDeployment, status: Object, now: datetime) -> Object | None:
    """Return the event for the change from the previous status to a new one.

    Return None when status and reason of Ready stay the same.
    """
    ready = status["conditions"][0]
    previous = next((each for each in md.status.conditions if each.type == "Ready"), None)
    if previous and (previous.status, previous.reason) == (ready["status"], ready["reason"]):
        return None
    return _event(md, ready["reason"], ready["message"], now)


def _event(md: ModelDeployment, reason: str, message: str, now: datetime) -> Object:
    time = format_timestamp(now)
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
        "message": message[:MAX_NOTE_LENGTH],
        "source": {"component": MANAGER},
        "reportingComponent": MANAGER,
        "reportingInstance": MANAGER,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }
