"""Findings: what is known about one aspect of a ModelDeployment before it becomes a condition."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from slipway_operator.api.v1alpha1.reasons import EXPLANATIONS, Reason
from slipway_operator.kubernetes.objects import Object, format_timestamp

MAX_MESSAGE_LENGTH = 2048
MAX_FACT_LENGTH = 700
"""Maximum number of characters quoted from the message of another component."""


@dataclass(frozen=True)
class Finding:
    """Status, reason and message of a condition."""

    status: Literal["True", "False", "Unknown"]
    reason: Reason
    message: str
    requeue_after_seconds: float | None = None
    """Time after which to look again, when no event will report the change."""

    @property
    def is_fault(self) -> bool:
        """Whether somebody has to act."""
        return self.status == "False"


def holds(reason: Reason, message: str) -> Finding:
    """Return the finding that something holds."""
    return Finding("True", reason, message)


def waiting(reason: Reason, message: str, requeue_after_seconds: float | None = None) -> Finding:
    """Return the finding that something is not known yet, and that nothing is known to be wrong."""
    return Finding("Unknown", reason, message, requeue_after_seconds)


def fault(reason: Reason, fact: str) -> Finding:
    """Return the finding that something does not hold: the fact, followed by the remedy."""
    fact = " ".join(fact.split())
    if len(fact) > MAX_FACT_LENGTH:
        fact = fact[: MAX_FACT_LENGTH - 1] + "…"
    remedy = EXPLANATIONS[reason].remedy
    return Finding("False", reason, f"{fact.rstrip('.')}: {remedy}" if remedy else fact)


def to_condition(
    condition_type: str, finding: Finding, previous: Object, generation: int, now: datetime
) -> Object:
    """Return the condition for a finding.

    `previous` is the condition of that type so far, or empty. Its `lastTransitionTime` is kept
    while the status stays the same.
    """
    is_same = previous.get("status") == finding.status
    return {
        "type": condition_type,
        "status": finding.status,
        "reason": finding.reason.value,
        "message": finding.message[:MAX_MESSAGE_LENGTH],
        "lastTransitionTime": previous["lastTransitionTime"] if is_same else format_timestamp(now),
        "observedGeneration": generation,
    }
