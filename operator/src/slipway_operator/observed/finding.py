"""What is found about one aspect of a ModelDeployment, before it becomes a condition."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from slipway_operator.api.v1alpha1.reasons import EXPLANATIONS, Reason

Object = dict[str, Any]

MAX_MESSAGE_LENGTH = 2048
MAX_FACT_LENGTH = 700
"""Characters that are quoted of somebody else's message."""


@dataclass(frozen=True)
class Finding:
    """Whether something holds, and why; `requeue_after_seconds` when only time will tell."""

    status: Literal["True", "False", "Unknown"]
    reason: Reason
    message: str
    requeue_after_seconds: float | None = None

    @property
    def is_fault(self) -> bool:
        """Whether somebody has to do something."""
        return self.status == "False"


def holds(reason: Reason, message: str) -> Finding:
    """It is so."""
    return Finding("True", reason, message)


def waiting(reason: Reason, message: str, requeue_after_seconds: float | None = None) -> Finding:
    """It is not known yet, and nothing is known to be wrong."""
    return Finding("Unknown", reason, message, requeue_after_seconds)


def fault(reason: Reason, fact: str) -> Finding:
    """It is not so: the fact, and after it what to do."""
    fact = " ".join(fact.split())
    if len(fact) > MAX_FACT_LENGTH:
        fact = fact[: MAX_FACT_LENGTH - 1] + "…"
    remedy = EXPLANATIONS[reason].remedy
    return Finding("False", reason, f"{fact.rstrip('.')}: {remedy}" if remedy else fact)


def condition(live: Object, kind: str) -> Object:
    """A condition of any object by its type; empty when it is not there."""
    conditions = live.get("status", {}).get("conditions") or []
    return next((each for each in conditions if each.get("type") == kind), {})


def as_condition(
    kind: str, found: Finding, earlier: Object, generation: int, now: datetime
) -> Object:
    """The condition that a finding becomes; `earlier` is the one of that type before, or empty."""
    same = earlier.get("status") == found.status
    return {
        "type": kind,
        "status": found.status,
        "reason": found.reason.value,
        "message": found.message[:MAX_MESSAGE_LENGTH],
        "lastTransitionTime": earlier["lastTransitionTime"] if same else timestamp(now),
        "observedGeneration": generation,
    }


def timestamp(now: datetime) -> str:
    """A time in UTC as Kubernetes writes it."""
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")
