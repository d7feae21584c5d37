"""The observed state: pure functions from live objects to the conditions of a ModelDeployment."""

from slipway_operator.observed.state import ObservedState
from slipway_operator.observed.status import ComputedStatus, compute_status

__all__ = ["ComputedStatus", "ObservedState", "compute_status"]
