"""Measures how fast lanes compute, and predicts when queued work will be done."""

from __future__ import annotations

import math

import msgspec

from slipway_core.engines.cores import parallel_speedup


class RunningBatch(msgspec.Struct, frozen=True, eq=False):
    """A batch that is being computed.

    `started` is in seconds of the caller's clock; `lanes` is the number of lanes that compute it
    together.
    """

    started: float
    tokens: int
    lanes: int


class Pace:
    """The measured speed of `lanes` lanes and the batches they are running.

    All times are seconds of one monotonic clock, which the caller reads.
    """

    def __init__(self, lanes: int) -> None:
        self._lanes = lanes
        self._tokens_per_second = 0.0  # of one lane; 0 until the first batch is done
        self._running: set[RunningBatch] = set()

    @property
    def is_idle(self) -> bool:
        """Whether no batch is running."""
        return not self._running

    @property
    def running_tokens(self) -> int:
        """The tokens of all running batches."""
        return sum(batch.tokens for batch in self._running)

    def start(self, batch: RunningBatch) -> None:
        """Add a batch that starts now."""
        self._running.add(batch)

    def finish(self, batch: RunningBatch) -> None:
        """Remove a batch that has succeeded or failed."""
        self._running.remove(batch)

    def learn(self, batch: RunningBatch, seconds: float) -> None:
        """Update the measured speed with the duration of a batch. Longer batches weigh more."""
        if seconds <= 0:
            return
        weight = 1.0 if not self._tokens_per_second else min(0.5, seconds)
        rate = batch.tokens / seconds / parallel_speedup(batch.lanes)
        self._tokens_per_second += weight * (rate - self._tokens_per_second)

    def seconds_until_done(self, queued_tokens: int, now: float) -> float:
        """Return the seconds until all running and queued work is done; 0 when nothing runs."""
        if not self._tokens_per_second or not self._running:
            return 0.0
        rate = self._tokens_per_second
        unfinished = sum(
            max(0.0, batch.tokens - (now - batch.started) * rate * parallel_speedup(batch.lanes))
            for batch in self._running
        )
        return (queued_tokens + unfinished) / (rate * self._lanes)

    def tokens_within(self, seconds: float, lanes: int) -> float:
        """Return how many tokens `lanes` lanes compute together in `seconds`.

        Infinity before the first measurement.
        """
        rate = self._tokens_per_second * parallel_speedup(lanes)
        return seconds * rate if rate else math.inf
