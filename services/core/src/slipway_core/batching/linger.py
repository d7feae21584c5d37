"""Lets a lane wait briefly for the next requests of the clients it has just answered.

Clients that send their next request as soon as they have a response are back within milliseconds.
A lane that took the first of them alone would compute small batches for ever. Requests that arrive
at random are not delayed: a lane waits only while most answered clients have been coming back in
time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

MIN_RETURNING_SHARE = 0.8
"""The share of answered clients that must have come back in time for a lane to wait."""
NEWEST_WEIGHT = 0.1
"""The weight of the newest observation in the moving average of that share."""


class Linger:
    """The wait of one or more lanes, which ends for all of them at once.

    `on_timeout` is called when the time is up before all clients are back. Lives on one event loop.
    """

    def __init__(self, on_timeout: Callable[[], None]) -> None:
        self._on_timeout = on_timeout
        self._timer: asyncio.TimerHandle | None = None
        self._missing = 0
        self._arrived = 0
        self._returning_share = 1.0
        self.lanes = 0
        """The number of waiting lanes."""

    def start(self, count: int, seconds: float) -> None:
        """Let a lane wait up to `seconds` for `count` inputs, or join the wait of other lanes."""
        loop = asyncio.get_running_loop()
        loop.call_later(seconds, self._learn, self._arrived, count)
        if self._timer is not None:
            self._missing += count
            self.lanes += 1
        elif self._returning_share >= MIN_RETURNING_SHARE:
            self._missing = count
            self.lanes = 1
            self._timer = loop.call_later(seconds, self.end)

    def add_arrivals(self, count: int) -> None:
        """Count arrived inputs. The wait ends, without `on_timeout`, when none is missing."""
        self._arrived += count
        self._missing -= count
        if self._missing <= 0:
            self._clear()

    def end(self) -> None:
        """End the wait now and call `on_timeout`."""
        if self._timer is not None:
            self._clear()
            self._on_timeout()

    def _clear(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self.lanes = 0

    def _learn(self, arrived_before: int, count: int) -> None:
        share = min(1.0, (self._arrived - arrived_before) / count)
        self._returning_share += NEWEST_WEIGHT * (share - self._returning_share)
