"""What the cluster shows, in words: pure functions from live objects to conditions and status."""

from slipway_operator.observed.status import ComputedStatus, ObservedState, compute_status

__all__ = ["ComputedStatus", "ObservedState", "compute_status"]
