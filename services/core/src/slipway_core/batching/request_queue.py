"""The queue of requests that wait for a lane, first in, first out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from slipway_core.inputs.items import Item, Outcome

MAX_DEAD_ENTRIES = 64
"""Entries of abandoned requests that may stay in a short queue before it is compacted."""


class Request:
    """The items of one caller. They may run in several batches and are answered together."""

    __slots__ = (
        "abandoned",
        "deadline",
        "enqueued_at",
        "future",
        "missing",
        "outcomes",
        "queued_entries",
        "queued_tokens",
    )

    def __init__(
        self, count: int, now: float, deadline: float, future: asyncio.Future[list[Outcome]]
    ) -> None:
        self.outcomes: list[Outcome | None] = [None] * count
        self.missing = count
        self.queued_entries = count
        self.queued_tokens = 0
        self.abandoned = False
        self.enqueued_at = now
        self.deadline = deadline
        self.future = future

    def fail(self, error: BaseException) -> None:
        """Set the error as the result, unless the request has one already."""
        if not self.future.done():
            self.future.set_exception(error)


class Entry(msgspec.Struct, frozen=True, eq=False):
    """One item of a request, and its estimated tokens."""

    request: Request
    index: int
    item: Item
    tokens: int

    def resolve(self, outcome: Outcome) -> None:
        """Store the outcome. The last one resolves the request's future."""
        request = self.request
        request.outcomes[self.index] = outcome
        request.missing -= 1
        if request.missing == 0 and not request.future.done():
            request.future.set_result([one for one in request.outcomes if one is not None])


def items_completed_by(batch: Sequence[Entry]) -> int:
    """Return the number of items of the requests that this batch completes."""
    counts: dict[Request, int] = {}
    for entry in batch:
        counts[entry.request] = counts.get(entry.request, 0) + 1
    completed = 0
    for request, count in counts.items():
        if request.missing == count:
            completed += len(request.outcomes)
    return completed


class RequestQueue:
    """A queue of entries. `tokens` counts only requests that a caller still waits for."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._dead_entries = 0  # entries of abandoned requests
        self.tokens = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def live_entries(self) -> int:
        """The number of entries that a caller still waits for."""
        return len(self._entries) - self._dead_entries

    def add(self, request: Request, items: Sequence[Item], costs: Sequence[int]) -> None:
        """Append all items of a request; `costs` are their estimated tokens."""
        for index, (item, tokens) in enumerate(zip(items, costs, strict=True)):
            self._entries.append(Entry(request, index, item, tokens))
            request.queued_tokens += tokens
        self.tokens += request.queued_tokens

    def largest_entry_tokens(self) -> int:
        """Return the tokens of the largest live entry."""
        largest = 0
        for entry in self._entries:
            if entry.tokens > largest and not entry.request.abandoned:
                largest = entry.tokens
        return largest

    def take(
        self,
        *,
        target_tokens: int,
        max_tokens: int,
        tokens_within: Callable[[float], float],
        now: float,
    ) -> list[Entry]:
        """Remove and return the entries of the next batch.

        The batch stops growing at `target_tokens`, and never exceeds `max_tokens` or what
        `tokens_within` returns for the seconds left until the earliest deadline. An entry that is
        larger goes alone. Abandoned and expired entries are skipped, so the batch may be empty.
        """
        batch: list[Entry] = []
        tokens = 0
        bound: float = max_tokens
        while self._entries:
            entry = self._entries[0]
            request = entry.request
            is_wanted = not request.future.done() and request.deadline > now
            if is_wanted:
                bound = min(bound, tokens_within(request.deadline - now))
            if is_wanted and batch and (tokens >= target_tokens or tokens + entry.tokens > bound):
                break
            self._entries.popleft()
            request.queued_entries -= 1
            if not is_wanted:
                self._dead_entries -= request.abandoned
                continue
            batch.append(entry)
            tokens += entry.tokens
            request.queued_tokens -= entry.tokens
            self.tokens -= entry.tokens
        return batch

    def fail_all(self, error: BaseException) -> None:
        """Fail every queued request."""
        for entry in self._entries:
            entry.request.fail(error)

    def abandon(self, request: Request) -> None:
        """Release the tokens of a request that its caller no longer waits for.

        Its entries are skipped when they reach the front. They are removed earlier when they make
        up most of the queue, which must not grow while no engine takes from it.
        """
        self.tokens -= request.queued_tokens
        request.queued_tokens = 0
        request.abandoned = True
        self._dead_entries += request.queued_entries
        if self._dead_entries > max(len(self._entries) // 2, MAX_DEAD_ENTRIES):
            self._entries = deque(entry for entry in self._entries if not entry.request.abandoned)
            self._dead_entries = 0
