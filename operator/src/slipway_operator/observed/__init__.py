"""The observed state: pure functions from live objects to the conditions of a ModelDeployment."""

from slipway_operator.observed.state import NO_REPORT, ObservedState, ServerReport
from slipway_operator.observed.status import ComputedStatus, compute_status

__all__ = [
    "NO_REPORT", "ComputedStatus", "ObservedState", "ServerReport", "compute_status",
]  # fmt: skip
