"""Gives out turns at a bounded rate."""

from __future__ import annotations

MAX_TURN_SECONDS = 5.0
"""More than all connections need for a turn each. Clients that left have not used theirs, and those
that stay must not wait for these.
"""


class Pacer:
    """Tells each caller how long to wait for its turn."""

    def __init__(self, per_second: float) -> None:
        self._interval = 1 / per_second
        self._last_turn = 0.0

    def seconds_to_turn(self, now: float) -> float:
        """Return the seconds from `now`, on the caller's monotonic clock, to the caller's turn."""
        next_turn = max(self._last_turn, now) + self._interval
        self._last_turn = min(next_turn, now + MAX_TURN_SECONDS)
        return self._last_turn - now
