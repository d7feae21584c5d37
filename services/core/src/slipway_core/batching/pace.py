"""How fast lanes compute, by the batches that they have done, and when they will be done."""

from __future__ import annotations

import math

import msgspec

from slipway_core.engines.cores import joint_speed


class Computing(msgspec.Struct, frozen=True, eq=False):
    """A batch on its way: since when, its tokens, and how many lanes compute it together."""

    started: float
    tokens: int
    lanes: int


class Pace:
    """Follows `lanes` lanes. Times are seconds of one clock, which the caller reads."""

    def __init__(self, lanes: int) -> None:
        self._lanes = lanes
        self._tokens_per_second = 0.0  # of one lane; 0 until the first batch is done
        self._computing: set[Computing] = set()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is computed at the moment."""
        return not self._computing

    @property
    def tokens(self) -> int:
        """Those of all batches that are computed at the moment."""
        return sum(batch.tokens for batch in self._computing)

    def began(self, batch: Computing) -> None:
        """A batch is on its way."""
        self._computing.add(batch)

    def ended(self, batch: Computing) -> None:
        """Nobody computes it any more."""
        self._computing.remove(batch)

    def learn(self, batch: Computing, seconds: float) -> None:
        """What a batch took; long ones count for more."""
        if seconds <= 0:
            return
        weight = 1.0 if not self._tokens_per_second else min(0.5, seconds)
        rate = batch.tokens / seconds / joint_speed(batch.lanes)
        self._tokens_per_second += weight * (rate - self._tokens_per_second)

    def seconds_until_done(self, queued_tokens: int, now: float) -> float:
        """When all that is computed and queued will be done; 0 while everything is idle."""
        if not self._tokens_per_second or not self._computing:
            return 0.0
        rate = self._tokens_per_second
        unfinished = sum(
            max(0.0, batch.tokens - (now - batch.started) * rate * joint_speed(batch.lanes))
            for batch in self._computing
        )
        return (queued_tokens + unfinished) / (rate * self._lanes)

    def tokens_within(self, seconds: float, lanes: int) -> float:
        """What so many lanes compute together in so many seconds."""
        rate = self._tokens_per_second * joint_speed(lanes)
        return seconds * rate if rate else math.inf
