"""The requests that wait for a lane, first come, first served, and the answers that they get."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from slipway_core.inputs.items import Item, Outcome

DEAD_ENTRIES_KEPT = 64


class Request:
    """A caller's items: they may travel in several batches, and are answered together."""

    __slots__ = (
        "deadline",
        "dropped",
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
        self.dropped = False
        self.enqueued_at = now
        self.deadline = deadline
        self.future = future

    def fail(self, error: BaseException) -> None:
        """The caller gets the error, unless it has got one already."""
        if not self.future.done():
            self.future.set_exception(error)


class Entry(msgspec.Struct, frozen=True, eq=False):
    """One item of a request, and the tokens that it costs."""

    request: Request
    index: int
    item: Item
    tokens: int

    def answer(self, outcome: Outcome) -> None:
        """The caller gets its answer with the last of its items."""
        request = self.request
        request.outcomes[self.index] = outcome
        request.missing -= 1
        if request.missing == 0 and not request.future.done():
            request.future.set_result([one for one in request.outcomes if one is not None])


def items_answered_by(batch: Sequence[Entry]) -> int:
    """The items of those requests that get their last answers with this batch."""
    here: dict[Request, int] = {}
    for entry in batch:
        here[entry.request] = here.get(entry.request, 0) + 1
    answered = 0
    for request, count in here.items():
        if request.missing == count:
            answered += len(request.outcomes)
    return answered


class Waiting:
    """A queue of entries. `tokens` are those of requests that somebody still waits for."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._dead = 0  # entries of requests that nobody waits for any more
        self.tokens = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def live(self) -> int:
        """How many entries somebody waits for."""
        return len(self._entries) - self._dead

    def add(self, request: Request, items: Sequence[Item], costs: Sequence[int]) -> None:
        """All items of a request, with their tokens."""
        for index, (item, tokens) in enumerate(zip(items, costs, strict=True)):
            self._entries.append(Entry(request, index, item, tokens))
            request.queued_tokens += tokens
        self.tokens += request.queued_tokens

    def longest(self) -> int:
        """The tokens of the largest item that somebody waits for."""
        longest = 0
        for entry in self._entries:
            if entry.tokens > longest and not entry.request.dropped:
                longest = entry.tokens
        return longest

    def take(
        self, *, enough: int, most: int, within: Callable[[float], float], now: float
    ) -> list[Entry]:
        """The next batch: no more when it has `enough` tokens, and none that would make it more
        than `most`, or than what can be computed `within` the seconds that the deadlines leave.

        A larger item goes alone. What nobody waits for is left out, so there may be none.
        """
        batch: list[Entry] = []
        tokens = 0
        bound: float = most
        while self._entries:
            entry = self._entries[0]
            request = entry.request
            wanted = not request.future.done() and request.deadline > now
            if wanted:
                bound = min(bound, within(request.deadline - now))
            if wanted and batch and (tokens >= enough or tokens + entry.tokens > bound):
                break
            self._entries.popleft()
            request.queued_entries -= 1
            if not wanted:
                self._dead -= request.dropped
                continue
            batch.append(entry)
            tokens += entry.tokens
            request.queued_tokens -= entry.tokens
            self.tokens -= entry.tokens
        return batch

    def fail(self, error: BaseException) -> None:
        """All that wait get the error."""
        for entry in self._entries:
            entry.request.fail(error)

    def drop(self, request: Request) -> None:
        """Take back the room of what the caller no longer waits for.

        Its entries are skipped when they come up, or removed once they are most of the queue: it
        must not grow while no engine is there to take from it.
        """
        self.tokens -= request.queued_tokens
        request.queued_tokens = 0
        request.dropped = True
        self._dead += request.queued_entries
        if self._dead > max(len(self._entries) // 2, DEAD_ENTRIES_KEPT):
            self._entries = deque(entry for entry in self._entries if not entry.request.dropped)
            self._dead = 0
