"""Measures how fast lanes compute, and predicts when queued work will be done."""

from __future__ import annotations

import math

import msgspec

from slipway_core.engines.cores import parallel_speedup


class RunningBatch(msgspec.Struct, frozen=True, eq=False):
    """A batch that is being computed.

    `started` is in seconds of the caller's clock; `lanes` is the number of lanes that compute it
    together; `is_large` says that it holds large entries.
    """

    started: float
    tokens: int
    lanes: int
    is_large: bool = False


class Pace:
    """The measured speed of `lanes` lanes and the batches they are running.

    All times are seconds of one monotonic clock, which the caller reads. Large entries have a speed
    of their own: decoding an image of many pixels has little in common with computing a small one.
    """

    def __init__(self, lanes: int) -> None:
        self._lanes = lanes
        # Of one lane, for small and for large entries; 0 until the first batch is done.
        self._tokens_per_second = {False: 0.0, True: 0.0}
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
        """Update the measured speed with the duration of a batch. Longer batches weigh more.

        A batch without tokens, as all of its items were dropped, says nothing.
        """
        if seconds <= 0 or not batch.tokens:
            return
        known = self._tokens_per_second[batch.is_large]
        weight = 1.0 if not known else min(0.5, seconds)
        rate = batch.tokens / seconds / parallel_speedup(batch.lanes)
        self._tokens_per_second[batch.is_large] = known + weight * (rate - known)

    def seconds_until_done(self, small_tokens: int, large_tokens: int, now: float) -> float:
        """Return the seconds until all running and queued work is done; 0 when nothing runs.

        Work whose speed has not been measured counts as none.
        """
        if not self._running:
            return 0.0
        unfinished = {False: float(small_tokens), True: float(large_tokens)}
        for batch in self._running:
            rate = self._tokens_per_second[batch.is_large] * parallel_speedup(batch.lanes)
            unfinished[batch.is_large] += max(0.0, batch.tokens - (now - batch.started) * rate)
        seconds = 0.0
        for is_large, rate in self._tokens_per_second.items():
            if rate:
                seconds += unfinished[is_large] / (rate * self._lanes)
        return seconds

    def tokens_within(self, seconds: float, lanes: int, is_large: bool) -> float:
        """Return how many tokens `lanes` lanes compute together in `seconds`.

        Infinity before the first measurement.
        """
        rate = self._tokens_per_second[is_large] * parallel_speedup(lanes)
        return seconds * rate if rate else math.inf
