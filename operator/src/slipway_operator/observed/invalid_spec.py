"""The status of a ModelDeployment that this operator cannot read, for example after a downgrade."""

from __future__ import annotations

from datetime import datetime

from pydantic import ValidationError

from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.kubernetes.objects import Object, get_condition
from slipway_operator.observed.finding import fault, to_condition


def build_invalid_status(body: Object, error: ValidationError, now: datetime) -> Object:
    """Return the previous status with a Ready=False that names each invalid field."""
    fields = "; ".join(
        f"`{'.'.join(map(str, problem['loc']))}`: {problem['msg']}" for problem in error.errors()
    )
    finding = fault(Reason.INVALID_SPEC, fields)
    previous = body.get("status", {})
    generation = body["metadata"].get("generation", 0)
    ready = to_condition("Ready", finding, get_condition(body, "Ready"), generation, now)
    others = [each for each in previous.get("conditions") or [] if each["type"] != "Ready"]
    return {**previous, "observedGeneration": generation, "conditions": [ready, *others]}
