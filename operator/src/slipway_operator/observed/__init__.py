"""What the cluster shows, in words: pure functions from live objects to conditions and status."""

from slipway_operator.observed.status import Observation, Observed, observe

__all__ = ["Observation", "Observed", "observe"]
