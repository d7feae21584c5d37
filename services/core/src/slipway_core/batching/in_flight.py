"""The batches that are being computed, from which requests may still be dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from slipway_core.batching.request_queue import Entry, Request
from slipway_core.inputs.dropped_items import was_computed
from slipway_core.inputs.items import Outcome

BatchOutcomes = asyncio.Future[list[Outcome]]

DropItems = Callable[[BatchOutcomes, Sequence[int]], None]
"""Lets engines skip the items of a batch, given by indices, that they have not begun with."""


class InFlight:
    """Batches by the futures of their outcomes. Lives on one event loop."""

    def __init__(self, drop: DropItems) -> None:
        self._drop = drop
        self._batches: dict[BatchOutcomes, Sequence[Entry]] = {}
        self._reduced: set[BatchOutcomes] = set()

    def add(self, outcomes: BatchOutcomes, batch: Sequence[Entry]) -> None:
        """Add a batch that was sent to an engine."""
        self._batches[outcomes] = batch

    def remove(self, outcomes: BatchOutcomes) -> bool:
        """Remove a batch that is done; return whether items of it were dropped."""
        del self._batches[outcomes]
        is_reduced = outcomes in self._reduced
        self._reduced.discard(outcomes)
        return is_reduced

    def drop(self, request: Request) -> None:
        """Drop the items of a request that its caller no longer waits for."""
        for outcomes, batch in self._batches.items():
            indices = [i for i, entry in enumerate(batch) if entry.request is request]
            if indices:
                self._reduced.add(outcomes)
                self._drop(outcomes, indices)


def computed_tokens(batch: Sequence[Entry], outcomes: Sequence[Outcome]) -> int:
    """Return the tokens of the items that the engine has not skipped."""
    pairs = zip(batch, outcomes, strict=True)
    return sum(entry.tokens for entry, outcome in pairs if was_computed(outcome))
