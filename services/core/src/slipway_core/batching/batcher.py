"""Groups requests into batches by their cost in tokens, and rejects what would be too late.

There is no batching window: an idle lane takes what is queued at once, and while all lanes are busy
the next batch grows by itself. Each lane computes on one core and waits for no other lane; a
request that arrives alone at an idle engine gets all of its cores.

The queue is bounded in tokens and in time: a request that could not be answered before its deadline
is rejected at once (QueueFull) instead of being computed in vain.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import msgspec

from slipway_core.batching.in_flight import DropItems, InFlight, computed_tokens
from slipway_core.batching.linger import Linger
from slipway_core.batching.pace import Pace, RunningBatch
from slipway_core.batching.request_queue import (
    LARGE_ENTRY_TOKENS,
    Entry,
    Request,
    RequestQueue,
    items_completed_by,
)
from slipway_core.engines.cores import parallel_speedup
from slipway_core.errors import DeadlineExceeded, Draining, PayloadTooLarge, QueueFull
from slipway_core.inputs.items import Item, Outcome

MAX_RETRY_AFTER_SECONDS = 60
USABLE_SHARE_OF_DEADLINE = 0.7
"""The share of a deadline that may be planned with. The rest covers what the measured speed does
not include: a busy event loop, a slower next batch.
"""
MIN_BATCH_SECONDS = 0.05
"""The computing time below which no batch is cut for a deadline: ever smaller batches would answer
fewer requests.
"""
LARGE_SHARE_OF_QUEUE = 0.5
"""The share of the queue that large entries may fill, so that others always find room."""
LANE_TOKENS = 512
"""The tokens beyond which a larger batch is no faster on one core. More is left for other lanes."""
LINGER_SHARE = 0.1
"""The longest linger of a lane, as a share of the duration of its last batch."""
MIN_LINGER_SECONDS, MAX_LINGER_SECONDS = 0.002, 0.02
"""The bounds of that time. The lower bound is never more than half of the duration of the batch."""


class RunBatch(Protocol):
    """Starts to compute a batch on one core, or on all cores of an engine.

    `is_wanted` returns whether a caller still waits for the batch; it may be called at any time.
    """

    def __call__(
        self, items: Sequence[Item], *, all_cores: bool, is_wanted: Callable[[], bool]
    ) -> asyncio.Future[list[Outcome]]: ...


class BatchReport(msgspec.Struct, frozen=True):
    """The measurements of one batch, for metrics.

    `queue_seconds` is the longest wait in the queue, `compute_seconds` the duration of the batch.
    """

    items: int
    tokens: int
    queue_seconds: float
    compute_seconds: float


class Batcher:
    """Feeds `engines` engines of `lanes` lanes each through `run`.

    `may_use_all_cores` is called once for each batch that would use all cores of an engine, and
    `drop` for what callers no longer wait for while it is computed.
    Lives on one event loop; nothing here is thread-safe.
    """

    def __init__(
        self,
        run: RunBatch,
        *,
        engines: int,
        lanes: int,
        max_batch_tokens: int,
        max_queue_tokens: int,
        may_use_all_cores: Callable[[], bool] = lambda: True,
        drop: DropItems = lambda outcomes, indices: None,
        observe: Callable[[BatchReport], None] | None = None,
    ) -> None:
        self._run = run
        self._lanes = lanes
        self._all_lanes = engines * lanes
        self._max_batch_tokens = max_batch_tokens
        self._max_queue_tokens = max_queue_tokens
        self._may_use_all_cores = may_use_all_cores
        self._observe = observe
        self._queue = RequestQueue()
        self._in_flight = InFlight(drop)
        self._idle_lanes = self._all_lanes
        self._linger = Linger(self._dispatch)
        self._pace = Pace(self._all_lanes)
        self._closed = False
        self.inflight = 0

    @property
    def queued_tokens(self) -> int:
        """The tokens of all queued requests."""
        return self._queue.tokens

    def submit(
        self, items: Sequence[Item], costs: Sequence[int], *, timeout_seconds: float = math.inf
    ) -> asyncio.Future[list[Outcome]]:
        """Queue `items`, of `costs` estimated tokens each; return one Outcome for each, in order.

        Raises QueueFull (with the seconds until a retry), PayloadTooLarge when the items can never
        fit, Draining after `close`. The future raises DeadlineExceeded after `timeout_seconds`.
        Cancelling it drops the items that are not computed yet.
        """
        loop = asyncio.get_running_loop()
        outcomes: asyncio.Future[list[Outcome]] = loop.create_future()
        if not items:
            outcomes.set_result([])
            return outcomes
        self._admit(costs, timeout_seconds)
        now = time.monotonic()
        request = Request(len(items), now, now + timeout_seconds, outcomes)
        self._queue.add(request, items, costs)
        self.inflight += 1
        self._linger.add_arrivals(len(items))
        self._dispatch()
        timer = None
        if timeout_seconds < math.inf:
            timer = loop.call_later(timeout_seconds, _expire, request, timeout_seconds)
        outcomes.add_done_callback(partial(self._end_request, request, timer))
        return outcomes

    def retry_after_seconds(self) -> int:
        """Return the whole seconds until about half of the queue will have drained."""
        large = self._queue.large_tokens
        wait = self._expected_wait_seconds(self._queue.tokens - large, large) / 2
        return max(1, min(MAX_RETRY_AFTER_SECONDS, math.ceil(wait)))

    def close(self) -> None:
        """Reject new requests from now on. Accepted ones are still answered."""
        self._closed = True
        self._linger.end()

    def reject_queued(self) -> None:
        """Fail the requests that still wait for a lane with Draining."""
        self._queue.fail_all(Draining())

    def _admit(self, costs: Sequence[int], timeout_seconds: float) -> None:
        if self._closed:
            raise Draining()
        queue, tokens, largest = self._queue, sum(costs), max(costs)
        if tokens > self._max_queue_tokens:
            raise PayloadTooLarge(
                f"the inputs cost about {tokens} tokens and the queue holds "
                f"{self._max_queue_tokens}; send fewer inputs at once, or a batch"
            )
        is_large = largest > LARGE_ENTRY_TOKENS
        wait = self._expected_wait_seconds(*queue.tokens_ahead(tokens, is_large))
        is_late = wait > timeout_seconds * USABLE_SHARE_OF_DEADLINE
        is_full = queue.tokens + tokens > self._max_queue_tokens
        if is_large and queue.tokens:
            share = self._max_queue_tokens * LARGE_SHARE_OF_QUEUE
            is_full = is_full or queue.large_tokens + tokens > share
        if is_late or is_full:
            raise QueueFull(
                "the queue is full; send the request again after the time in Retry-After",
                retry_after_seconds=self.retry_after_seconds(),
            )

    def _expected_wait_seconds(self, small_tokens: int, large_tokens: int) -> float:
        return self._pace.seconds_until_done(small_tokens, large_tokens, time.monotonic())

    def _end_request(
        self, request: Request, timer: asyncio.TimerHandle | None, _: asyncio.Future[list[Outcome]]
    ) -> None:
        """Clean up after a request that was answered, has failed, or was cancelled."""
        if timer:
            timer.cancel()
        self.inflight -= 1
        if request.missing > request.queued_entries:
            self._in_flight.drop(request)
        self._queue.abandon(request)

    def _dispatch(self) -> None:
        while self._queue and self._idle_lanes > self._linger.lanes:
            now = time.monotonic()
            lanes = self._lanes if self._should_use_all_cores() else 1
            batch = self._queue.take(
                target_tokens=self._target_tokens(lanes),
                max_tokens=self._max_batch_tokens,
                tokens_within=partial(self._tokens_within, lanes),
                now=now,
            )
            if not batch:
                return
            self._idle_lanes -= lanes
            tokens = sum(entry.tokens for entry in batch)
            running = RunningBatch(now, tokens, lanes, batch[0].tokens > LARGE_ENTRY_TOKENS)
            self._pace.start(running)
            outcomes = self._run(
                [entry.item for entry in batch],
                all_cores=lanes == self._lanes,
                is_wanted=partial(_is_wanted, batch),
            )
            self._in_flight.add(outcomes, batch)
            outcomes.add_done_callback(partial(self._finish_batch, batch, running))

    def _should_use_all_cores(self) -> bool:
        """Return whether all cores of an engine should compute one batch.

        They should when all lanes are idle and the largest input would keep one lane busy after
        the others have computed the rest.
        """
        if self._lanes == 1 or self._idle_lanes < self._all_lanes:
            return False
        largest = self._queue.largest_entry_tokens()
        dominates = largest * parallel_speedup(self._lanes) > self._queue.tokens
        return dominates and self._may_use_all_cores()

    def _target_tokens(self, lanes: int) -> int:
        """Return the size at which a batch for `lanes` lanes is large enough.

        Idle lanes share the queue evenly, and leave some of it to lanes that will soon be idle.
        """
        share_of_idle = math.ceil(self._queue.tokens * lanes / self._idle_lanes)
        if self._lanes == 1:
            return share_of_idle
        unfinished = self._queue.tokens + self._pace.running_tokens
        return min(
            share_of_idle,
            math.ceil(unfinished * lanes / self._all_lanes),
            max(LANE_TOKENS, math.ceil(self._queue.tokens * lanes / self._all_lanes)),
        )

    def _tokens_within(self, lanes: int, seconds: float, are_large: bool) -> float:
        """Return how many tokens a batch may have whose first deadline is `seconds` away.

        A batch is answered when all of it is computed, so all of it must meet that deadline.
        """
        usable = max(seconds * USABLE_SHARE_OF_DEADLINE, MIN_BATCH_SECONDS)
        return self._pace.tokens_within(usable, lanes, are_large)

    def _finish_batch(
        self, batch: list[Entry], running: RunningBatch, finished: asyncio.Future[list[Outcome]]
    ) -> None:
        self._pace.finish(running)
        is_reduced = self._in_flight.remove(finished)
        self._idle_lanes += running.lanes
        seconds = time.monotonic() - running.started
        error = Draining() if finished.cancelled() else finished.exception()
        if error is not None:
            for entry in batch:
                entry.request.fail(error)
            self._dispatch()
            return
        self._start_linger(batch, seconds)
        self._dispatch()  # engines first: callers take their time with the outcomes
        if is_reduced:
            running = msgspec.structs.replace(
                running, tokens=computed_tokens(batch, finished.result())
            )
        self._pace.learn(running, seconds)
        for entry, outcome in zip(batch, finished.result(), strict=True):
            entry.resolve(outcome)
        if self._observe:
            waited = running.started - batch[0].request.enqueued_at
            self._observe(BatchReport(len(batch), running.tokens, waited, seconds))

    def _start_linger(self, batch: list[Entry], seconds: float) -> None:
        """Let the lane wait for the clients it answers, unless as many inputs are queued already.

        `seconds` is the duration of the batch.
        """
        completed = items_completed_by(batch)
        busy = not self._pace.is_idle or self._linger.lanes
        if completed > self._queue.live_entries and busy and not self._closed:
            shortest = min(MIN_LINGER_SECONDS, seconds / 2)
            share = min(seconds * LINGER_SHARE, MAX_LINGER_SECONDS)
            self._linger.start(completed, max(shortest, share))


def _is_wanted(batch: list[Entry]) -> bool:
    return not all(entry.request.future.done() for entry in batch)


def _expire(request: Request, timeout_seconds: float) -> None:
    message = f"no answer within the deadline of {timeout_seconds:g} s; "
    request.fail(DeadlineExceeded(message + "allow more time or send fewer inputs"))
