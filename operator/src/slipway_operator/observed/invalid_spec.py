"""The status of a ModelDeployment that this operator cannot read, say after a downgrade."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import ValidationError

from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.observed.finding import as_condition, condition, fault


def invalid_status(raw: dict[str, Any], error: ValidationError, now: datetime) -> dict[str, Any]:
    """What was reported before, with Ready=False that names each field that is wrong."""
    fields = "; ".join(
        f"`{'.'.join(map(str, problem['loc']))}`: {problem['msg']}" for problem in error.errors()
    )
    found = fault(Reason.INVALID_SPEC, fields)
    before = raw.get("status", {})
    generation = raw["metadata"].get("generation", 0)
    ready = as_condition("Ready", found, condition(raw, "Ready"), generation, now)
    others = [each for each in before.get("conditions") or [] if each["type"] != "Ready"]
    return {**before, "observedGeneration": generation, "conditions": [ready, *others]}
