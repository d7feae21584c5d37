"""Lets a lane wait a moment for the clients that it has just answered, while others compute.

Clients that ask again as soon as they have their answer are back within a moment: a lane that took
the first of them alone would compute small batches for ever. Requests that come by chance do not
wait, because it is done only while most of those that were answered do come back in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

RETURNING = 0.8
"""The least share of answered clients that must have been coming back in time."""
WEIGHT = 0.1
"""Of the newest observation of that share."""


class Gathering:
    """The wait of one lane or more, which ends for all of them at once; `ended` is called then.
    Lives on one event loop.
    """

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended = ended
        self._timer: asyncio.TimerHandle | None = None
        self._missing = 0
        self._arrived = 0
        self._returning = 1.0
        self.lanes = 0
        """How many lanes wait."""

    def begin(self, count: int, seconds: float) -> None:
        """Let a lane wait for `count` inputs, for at most so many seconds, or join a wait that goes
        on already.
        """
        loop = asyncio.get_running_loop()
        loop.call_later(seconds, self._learn, self._arrived, count)
        if self._timer is not None:
            self._missing += count
            self.lanes += 1
        elif self._returning >= RETURNING:
            self._missing = count
            self.lanes = 1
            self._timer = loop.call_later(seconds, self.end)

    def arrived(self, count: int) -> None:
        """So many inputs were asked for; the wait is over, without a call, when none is missing."""
        self._arrived += count
        self._missing -= count
        if self._missing <= 0:
            self._stop()

    def end(self) -> None:
        """Wait no longer."""
        if self._timer is not None:
            self._stop()
            self._ended()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self.lanes = 0

    def _learn(self, arrived_before: int, count: int) -> None:
        share = min(1.0, (self._arrived - arrived_before) / count)
        self._returning += WEIGHT * (share - self._returning)
