"""The queue of requests that wait for a lane, first in, first out.

Single inputs that cost as much as a batch, such as large images, wait apart: they take turns with
all others, token for token. So nobody waits for more than one of them at a time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from slipway_core.inputs.items import Item, Outcome

LARGE_ENTRY_TOKENS = 512
"""The cost above which an entry is a large one: that of the longest text of most models."""
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
        "queued_large_tokens",
        "queued_tokens",
    )

    def __init__(
        self, count: int, now: float, deadline: float, future: asyncio.Future[list[Outcome]]
    ) -> None:
        self.outcomes: list[Outcome | None] = [None] * count
        self.missing = count
        self.queued_entries = count
        self.queued_tokens = 0
        self.queued_large_tokens = 0
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
    """A queue of entries. `tokens` counts only requests that a caller still waits for, and
    `large_tokens` those of their large entries.
    """

    def __init__(self) -> None:
        self._small: deque[Entry] = deque()
        self._large: deque[Entry] = deque()
        self._dead_entries = 0  # entries of abandoned requests
        self._small_tokens_taken = 0  # since the last large entry
        self.tokens = 0
        self.large_tokens = 0

    def __len__(self) -> int:
        return len(self._small) + len(self._large)

    @property
    def live_entries(self) -> int:
        """The number of entries that a caller still waits for."""
        return len(self) - self._dead_entries

    def add(self, request: Request, items: Sequence[Item], costs: Sequence[int]) -> None:
        """Append all items of a request; `costs` are their estimated tokens."""
        for index, (item, tokens) in enumerate(zip(items, costs, strict=True)):
            entry = Entry(request, index, item, tokens)
            if tokens > LARGE_ENTRY_TOKENS:
                self._large.append(entry)
                self.large_tokens += tokens
                request.queued_large_tokens += tokens
            else:
                self._small.append(entry)
            request.queued_tokens += tokens
        self.tokens += request.queued_tokens

    def tokens_ahead(self, tokens: int, is_large: bool) -> tuple[int, int]:
        """Return the tokens of small and of large entries that are computed until a request of
        `tokens`, added now, is done.
        """
        small, large = self.tokens - self.large_tokens, self.large_tokens
        if is_large:
            return small, large + tokens
        small += tokens
        return small, min(large, small + self._large[0].tokens) if large else 0

    def largest_entry_tokens(self) -> int:
        """Return the tokens of the largest live entry."""
        largest = 0
        for entries in (self._large, self._small) if self._large else (self._small,):
            for entry in entries:
                if entry.tokens > largest and not entry.request.abandoned:
                    largest = entry.tokens
        return largest

    def take(
        self,
        *,
        target_tokens: int,
        max_tokens: int,
        tokens_within: Callable[[float, bool], float],
        now: float,
    ) -> list[Entry]:
        """Remove and return the entries of the next batch: small ones, or large ones.

        The batch stops growing at `target_tokens`, and never exceeds `max_tokens` or what
        `tokens_within` returns for the seconds left until the earliest deadline, and for whether
        the entries are large. An entry that exceeds these goes alone, and so does a large one while
        small ones wait. Abandoned and expired entries are skipped, so the batch may be empty.
        """
        take = self._take_from
        if not self._large:
            return take(self._small, target_tokens, max_tokens, tokens_within, now)
        if self._is_turn_of_large():
            target = 1 if self._small else target_tokens
            batch = take(self._large, target, max_tokens, tokens_within, now)
            self._small_tokens_taken = 0
            if batch:
                return batch
        batch = take(self._small, target_tokens, max_tokens, tokens_within, now)
        self._small_tokens_taken += sum(entry.tokens for entry in batch)
        return batch or take(self._large, target_tokens, max_tokens, tokens_within, now)

    def _is_turn_of_large(self) -> bool:
        return not self._small or self._small_tokens_taken >= self._large[0].tokens

    def _take_from(
        self,
        entries: deque[Entry],
        target_tokens: int,
        max_tokens: int,
        tokens_within: Callable[[float, bool], float],
        now: float,
    ) -> list[Entry]:
        batch: list[Entry] = []
        tokens = 0
        bound: float = max_tokens
        are_large = entries is self._large
        while entries:
            entry = entries[0]
            request = entry.request
            is_wanted = not request.future.done() and request.deadline > now
            if is_wanted:
                bound = min(bound, tokens_within(request.deadline - now, are_large))
            if is_wanted and batch and (tokens >= target_tokens or tokens + entry.tokens > bound):
                break
            entries.popleft()
            request.queued_entries -= 1
            if not is_wanted:
                self._dead_entries -= request.abandoned
                continue
            batch.append(entry)
            tokens += entry.tokens
            request.queued_tokens -= entry.tokens
            self.tokens -= entry.tokens
            if are_large:
                request.queued_large_tokens -= entry.tokens
                self.large_tokens -= entry.tokens
        return batch

    def fail_all(self, error: BaseException) -> None:
        """Fail every queued request."""
        for entry in (*self._small, *self._large):
            entry.request.fail(error)

    def abandon(self, request: Request) -> None:
        """Release the tokens of a request that its caller no longer waits for.

        Its entries are skipped when they reach the front. They are removed earlier when they make
        up most of the queue, which must not grow while no engine takes from it.
        """
        self.tokens -= request.queued_tokens
        self.large_tokens -= request.queued_large_tokens
        request.queued_tokens = request.queued_large_tokens = 0
        request.abandoned = True
        self._dead_entries += request.queued_entries
        if self._dead_entries > max(len(self) // 2, MAX_DEAD_ENTRIES):
            self._small = deque(entry for entry in self._small if not entry.request.abandoned)
            self._large = deque(entry for entry in self._large if not entry.request.abandoned)
            self._dead_entries = 0
