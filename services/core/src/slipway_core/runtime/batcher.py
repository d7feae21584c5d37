"""Puts requests together into batches by their cost in tokens, and says no in time.

There is no waiting window: an idle engine takes what is queued at once, and while engines are busy
the next batch grows by itself. The queue is bounded in tokens and in time: a request that could not
be answered before its deadline is refused at once (QueueFull) instead of being computed for nobody.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from slipway_core.errors import DeadlineExceeded, Draining, PayloadTooLarge, QueueFull
from slipway_core.runtime.protocol import Item, Outcome

LONGEST_RETRY_AFTER_SECONDS = 60
DEAD_ENTRIES_KEPT = 64
ADMITTED_SHARE_OF_DEADLINE = 0.7
"""The rest is for what the measured rate does not know: a busy event loop, a slower next batch."""
SHORTEST_BATCH_SECONDS = 0.05
"""Batches are not cut below this for a deadline: of ever smaller ones fewer would be answered."""


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What one batch was, for metrics: sizes, the longest wait in the queue, and the time it was
    computed for.
    """

    items: int
    tokens: int
    queue_seconds: float
    compute_seconds: float


class _Request:
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
        self, count: int, now: float, deadline: float, future: asyncio.Future[None]
    ) -> None:
        self.outcomes: list[Outcome | None] = [None] * count
        self.missing = count
        self.queued_entries = count
        self.queued_tokens = 0
        self.dropped = False
        self.enqueued_at = now
        self.deadline = deadline
        self.future = future


@dataclass(frozen=True, slots=True)
class _Entry:
    request: _Request
    index: int
    item: Item
    tokens: int


class Batcher:
    """Feeds `concurrency` engines through `run`. Lives on one event loop; nothing here is
    thread-safe.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Awaitable[list[Outcome]]],
        *,
        concurrency: int,
        max_batch_tokens: int,
        max_queue_tokens: int,
        observe: Callable[[BatchReport], None] | None = None,
    ) -> None:
        self._run = run
        self._concurrency = concurrency
        self._max_batch_tokens = max_batch_tokens
        self._max_queue_tokens = max_queue_tokens
        self._observe = observe
        self._queue: deque[_Entry] = deque()
        self._idle = concurrency
        self._batches: set[asyncio.Task[None]] = set()
        self._computing: dict[int, tuple[float, int]] = {}  # by batch: its start and its tokens
        self._tokens_per_second = 0.0  # of one engine; 0 until the first batch is done
        self._dead_entries = 0  # in the queue, of requests that nobody waits for any more
        self._closed = False
        self.queued_tokens = 0
        self.inflight = 0

    async def submit(
        self, items: Sequence[Item], costs: Sequence[int], *, timeout_seconds: float
    ) -> list[Outcome]:
        """The outcomes of `items`, in order; `costs` are their estimated tokens.

        Raises QueueFull (with the seconds after which to try again), DeadlineExceeded after
        `timeout_seconds`, PayloadTooLarge when the items could never fit, Draining after `close`.
        When the caller is cancelled, items not yet computed are dropped.
        """
        if not items:
            return []
        self._admit(sum(costs), timeout_seconds)
        loop = asyncio.get_running_loop()
        now = loop.time()
        request = _Request(len(items), now, now + timeout_seconds, loop.create_future())
        for index, (item, tokens) in enumerate(zip(items, costs, strict=True)):
            self._queue.append(_Entry(request, index, item, tokens))
            request.queued_tokens += tokens
        self.queued_tokens += request.queued_tokens
        self.inflight += 1
        self._dispatch()
        try:
            async with asyncio.timeout_at(request.deadline):
                await request.future
        except TimeoutError:
            raise DeadlineExceeded(
                f"no answer within the deadline of {timeout_seconds:g} s; "
                "allow more time or send fewer inputs"
            ) from None
        finally:
            self.inflight -= 1
            self._drop(request)
        return [outcome for outcome in request.outcomes if outcome is not None]

    def retry_after_seconds(self) -> int:
        """Whole seconds until about half of the queue will have drained at the measured rate."""
        wait = self._expected_wait_seconds() / 2
        return max(1, min(LONGEST_RETRY_AFTER_SECONDS, math.ceil(wait)))

    def close(self) -> None:
        """Refuse new requests from now on; accepted ones are still answered."""
        self._closed = True

    async def drain(self) -> None:
        """Wait until every accepted request has been answered."""
        while self._batches:
            await asyncio.wait(self._batches)

    def _admit(self, tokens: int, timeout_seconds: float) -> None:
        if self._closed:
            raise Draining("this server is shutting down; send the request again")
        if tokens > self._max_queue_tokens:
            raise PayloadTooLarge(
                f"the inputs cost about {tokens} tokens and the queue holds "
                f"{self._max_queue_tokens}; send fewer inputs at once, or a batch"
            )
        late = self._expected_wait_seconds(tokens) > timeout_seconds * ADMITTED_SHARE_OF_DEADLINE
        if late or self.queued_tokens + tokens > self._max_queue_tokens:
            raise QueueFull(
                "the queue is full; send the request again after the time in Retry-After",
                retry_after_seconds=self.retry_after_seconds(),
            )

    def _expected_wait_seconds(self, more_tokens: int = 0) -> float:
        if not self._tokens_per_second or not self._computing:
            return 0.0
        now = asyncio.get_running_loop().time()
        unfinished = sum(
            max(0.0, tokens - (now - started) * self._tokens_per_second)
            for started, tokens in self._computing.values()
        )
        ahead = self.queued_tokens + unfinished + more_tokens
        return ahead / (self._tokens_per_second * self._concurrency)

    def _dispatch(self) -> None:
        while self._queue and self._idle:
            batch = self._take()
            if not batch:
                return
            self._idle -= 1
            tokens = sum(entry.tokens for entry in batch)
            self._computing[id(batch)] = asyncio.get_running_loop().time(), tokens
            task = asyncio.create_task(self._compute(batch))
            self._batches.add(task)
            task.add_done_callback(self._batches.discard)

    def _take(self) -> list[_Entry]:
        """The next batch: first come, first served, up to the token budget, without what nobody
        waits for.

        Idle engines share what is queued, so that a burst does not wait behind one of them. A batch
        is answered when all of it is computed, so it ends before it would be late for its first.
        """
        budget: float = min(self._max_batch_tokens, math.ceil(self.queued_tokens / self._idle))
        batch: list[_Entry] = []
        tokens = 0
        now = asyncio.get_running_loop().time()
        while self._queue:
            entry = self._queue[0]
            wanted = not entry.request.future.done() and entry.request.deadline > now
            if wanted:
                budget = min(budget, self._tokens_within(entry.request.deadline - now))
            if wanted and batch and tokens + entry.tokens > budget:
                break
            self._queue.popleft()
            entry.request.queued_entries -= 1
            if not wanted:
                self._dead_entries -= entry.request.dropped
                continue
            batch.append(entry)
            tokens += entry.tokens
            entry.request.queued_tokens -= entry.tokens
            self.queued_tokens -= entry.tokens
        return batch

    def _tokens_within(self, seconds: float) -> float:
        """What an engine computes in time for a deadline that is so far away."""
        if not self._tokens_per_second:
            return math.inf
        usable = max(seconds * ADMITTED_SHARE_OF_DEADLINE, SHORTEST_BATCH_SECONDS)
        return usable * self._tokens_per_second

    async def _compute(self, batch: list[_Entry]) -> None:
        try:
            outcomes = await self._run([entry.item for entry in batch])
        except Exception as error:
            self._release(batch)
            for entry in batch:
                _fail(entry.request, error)
            return
        report = self._release(batch)
        # The next batch is on its way to the engine before anybody works on these answers.
        await asyncio.sleep(0)
        self._measure(report.tokens, report.compute_seconds)
        for entry, outcome in zip(batch, outcomes, strict=True):
            _answer(entry, outcome)
        if self._observe:
            self._observe(report)

    def _release(self, batch: list[_Entry]) -> BatchReport:
        """The engine of a batch is idle: give it the next one."""
        started, tokens = self._computing.pop(id(batch))
        seconds = asyncio.get_running_loop().time() - started
        self._idle += 1
        self._dispatch()
        waited = started - min(entry.request.enqueued_at for entry in batch)
        return BatchReport(len(batch), tokens, waited, seconds)

    def _measure(self, tokens: int, seconds: float) -> None:
        """Follow the rate of an engine, weighing a batch by how long it was computed for."""
        if seconds <= 0:
            return
        weight = 1.0 if not self._tokens_per_second else min(0.5, seconds)
        self._tokens_per_second += weight * (tokens / seconds - self._tokens_per_second)

    def _drop(self, request: _Request) -> None:
        """Take back the room of what the caller no longer waits for.

        Its entries are skipped when they come up, or removed once they are most of the queue: it
        must not grow while no engine is there to take from it.
        """
        if not request.future.done():
            request.future.cancel()
        self.queued_tokens -= request.queued_tokens
        request.queued_tokens = 0
        request.dropped = True
        self._dead_entries += request.queued_entries
        if self._dead_entries > max(len(self._queue) // 2, DEAD_ENTRIES_KEPT):
            self._queue = deque(entry for entry in self._queue if not entry.request.dropped)
            self._dead_entries = 0


def _answer(entry: _Entry, outcome: Outcome) -> None:
    request = entry.request
    request.outcomes[entry.index] = outcome
    request.missing -= 1
    if request.missing == 0 and not request.future.done():
        request.future.set_result(None)


def _fail(request: _Request, error: Exception) -> None:
    if not request.future.done():
        request.future.set_exception(error)
