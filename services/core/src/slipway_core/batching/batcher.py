"""Puts requests together into batches by their cost in tokens, and says no in time.

There is no waiting window: an idle machine takes what is queued at once, and while it is busy the
next batch grows by itself. Batches are computed in lanes, a core each, which do not wait for each
other; what arrives alone at an idle engine gets all of its cores.

The queue is bounded in tokens and in time: a request that could not be answered before its deadline
is refused at once (QueueFull) instead of being computed for nobody.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import msgspec

from slipway_core.batching.linger import Gathering
from slipway_core.batching.pace import Computing, Pace
from slipway_core.batching.request_queue import Entry, Request, Waiting, items_answered_by
from slipway_core.engines.cores import joint_speed
from slipway_core.errors import DeadlineExceeded, Draining, PayloadTooLarge, QueueFull
from slipway_core.inputs.items import Item, Outcome

LONGEST_RETRY_AFTER_SECONDS = 60
ADMITTED_SHARE_OF_DEADLINE = 0.7
"""The rest is for what the measured rate does not know: a busy event loop, a slower next batch."""
SHORTEST_BATCH_SECONDS = 0.05
"""Batches are not cut below this for a deadline: of ever smaller ones fewer would be answered."""
LANE_TOKENS = 512
"""One core computes more at once no faster: what is more than this is left for the other lanes."""
GATHER_SHARE, SHORTEST_GATHER_SECONDS, LONGEST_GATHER_SECONDS = 0.1, 0.002, 0.02
"""Of the time of its last batch, the most that a lane waits for the clients that it answered: two
milliseconds at least, unless the batch took little more itself.
"""


class RunBatch(Protocol):
    """Begins to compute a batch on one core, or with `whole` on all cores of an engine. `wanted`
    tells whether anybody still waits for it, and may be asked at any time.
    """

    def __call__(
        self, items: Sequence[Item], *, whole: bool, wanted: Callable[[], bool]
    ) -> asyncio.Future[list[Outcome]]: ...


class BatchReport(msgspec.Struct, frozen=True):
    """What one batch was, for metrics: sizes, the longest wait in the queue, and the time it was
    computed for.
    """

    items: int
    tokens: int
    queue_seconds: float
    compute_seconds: float


class Batcher:
    """Feeds engines, of `lanes` lanes each, through `run`; `may_join` tells, once for each batch,
    whether all cores of an engine may be used for it. Lives on one event loop; nothing here is
    thread-safe.
    """

    def __init__(
        self,
        run: RunBatch,
        *,
        engines: int,
        lanes: int,
        max_batch_tokens: int,
        max_queue_tokens: int,
        may_join: Callable[[], bool] = lambda: True,
        observe: Callable[[BatchReport], None] | None = None,
    ) -> None:
        self._run = run
        self._lanes = lanes
        self._all_lanes = engines * lanes
        self._max_batch_tokens = max_batch_tokens
        self._max_queue_tokens = max_queue_tokens
        self._may_join = may_join
        self._observe = observe
        self._waiting = Waiting()
        self._idle = self._all_lanes
        self._batches: set[asyncio.Future[list[Outcome]]] = set()
        self._gathering = Gathering(self._dispatch)
        self._pace = Pace(self._all_lanes)
        self._closed = False
        self.inflight = 0

    @property
    def queued_tokens(self) -> int:
        """Tokens of what waits for a lane."""
        return self._waiting.tokens

    def submit(
        self, items: Sequence[Item], costs: Sequence[int], *, timeout_seconds: float = math.inf
    ) -> asyncio.Future[list[Outcome]]:
        """The outcomes of `items`, in order; `costs` are their estimated tokens.

        Raises QueueFull (with the seconds after which to try again), PayloadTooLarge when the items
        could never fit, Draining after `close`; the future raises DeadlineExceeded after
        `timeout_seconds`. When it is cancelled, items not yet computed are dropped.
        """
        loop = asyncio.get_running_loop()
        outcomes: asyncio.Future[list[Outcome]] = loop.create_future()
        if not items:
            outcomes.set_result([])
            return outcomes
        self._admit(sum(costs), timeout_seconds)
        now = time.monotonic()
        request = Request(len(items), now, now + timeout_seconds, outcomes)
        self._waiting.add(request, items, costs)
        self.inflight += 1
        self._gathering.arrived(len(items))
        self._dispatch()
        timer = None
        if timeout_seconds < math.inf:
            timer = loop.call_later(timeout_seconds, _expire, request, timeout_seconds)
        outcomes.add_done_callback(partial(self._leave, request, timer))
        return outcomes

    def retry_after_seconds(self) -> int:
        """Whole seconds until about half of the queue will have drained at the measured rate."""
        wait = self._expected_wait_seconds() / 2
        return max(1, min(LONGEST_RETRY_AFTER_SECONDS, math.ceil(wait)))

    def close(self) -> None:
        """Refuse new requests from now on; accepted ones are still answered."""
        self._closed = True
        self._gathering.end()

    def refuse_waiting(self) -> None:
        """Let those that wait for a lane get Draining, too."""
        self._waiting.fail(Draining())

    async def drain(self) -> None:
        """Wait until every accepted request has been answered."""
        while self._batches:
            await asyncio.wait(self._batches)

    def _admit(self, tokens: int, timeout_seconds: float) -> None:
        if self._closed:
            raise Draining()
        if tokens > self._max_queue_tokens:
            raise PayloadTooLarge(
                f"the inputs cost about {tokens} tokens and the queue holds "
                f"{self._max_queue_tokens}; send fewer inputs at once, or a batch"
            )
        late = self._expected_wait_seconds(tokens) > timeout_seconds * ADMITTED_SHARE_OF_DEADLINE
        if late or self._waiting.tokens + tokens > self._max_queue_tokens:
            raise QueueFull(
                "the queue is full; send the request again after the time in Retry-After",
                retry_after_seconds=self.retry_after_seconds(),
            )

    def _expected_wait_seconds(self, more_tokens: int = 0) -> float:
        now = time.monotonic()
        return self._pace.seconds_until_done(self._waiting.tokens + more_tokens, now)

    def _leave(
        self, request: Request, timer: asyncio.TimerHandle | None, _: asyncio.Future[list[Outcome]]
    ) -> None:
        """Nobody waits for the request any more: it is answered, has failed, or was given up."""
        if timer:
            timer.cancel()
        self.inflight -= 1
        self._waiting.drop(request)

    def _dispatch(self) -> None:
        while self._waiting and self._idle > self._gathering.lanes:
            now = time.monotonic()
            lanes = self._lanes if self._is_better_together() else 1
            batch = self._waiting.take(
                enough=self._share(lanes),
                most=self._max_batch_tokens,
                within=partial(self._tokens_within, lanes),
                now=now,
            )
            if not batch:
                return
            self._idle -= lanes
            tokens = sum(entry.tokens for entry in batch)
            computing = Computing(now, tokens, lanes)
            self._pace.began(computing)
            outcomes = self._run(
                [entry.item for entry in batch],
                whole=lanes == self._lanes,
                wanted=partial(_is_wanted, batch),
            )
            self._batches.add(outcomes)
            outcomes.add_done_callback(partial(self._computed, batch, computing))

    def _is_better_together(self) -> bool:
        """Whether all cores of an engine are to compute one batch: when they are idle, and the
        longest input would keep one of them busy after the others have done the rest.
        """
        if self._lanes == 1 or self._idle < self._all_lanes:
            return False
        alone = self._waiting.longest() * joint_speed(self._lanes) > self._waiting.tokens
        return alone and self._may_join()

    def _share(self, lanes: int) -> int:
        """The tokens with which a batch is enough, so that lanes have about the same to do: those
        that are idle share what is queued, and leave some of it to those that will soon be.
        """
        of_idle = math.ceil(self._waiting.tokens * lanes / self._idle)
        if self._lanes == 1:
            return of_idle
        in_work = self._waiting.tokens + self._pace.tokens
        return min(
            of_idle,
            math.ceil(in_work * lanes / self._all_lanes),
            max(LANE_TOKENS, math.ceil(self._waiting.tokens * lanes / self._all_lanes)),
        )

    def _tokens_within(self, lanes: int, seconds: float) -> float:
        """What so many lanes compute in time for a deadline that is so far away: a batch is
        answered when all of it is computed, so it has to end before it would be late for its first.
        """
        usable = max(seconds * ADMITTED_SHARE_OF_DEADLINE, SHORTEST_BATCH_SECONDS)
        return self._pace.tokens_within(usable, lanes)

    def _computed(
        self, batch: list[Entry], computing: Computing, computed: asyncio.Future[list[Outcome]]
    ) -> None:
        self._batches.discard(computed)
        self._release(computing)
        seconds = time.monotonic() - computing.started
        error = Draining() if computed.cancelled() else computed.exception()
        if error is not None:
            for entry in batch:
                entry.request.fail(error)
            self._dispatch()
            return
        self._gather(batch, seconds)
        self._dispatch()  # before anybody works on these answers
        self._pace.learn(computing, seconds)
        for entry, outcome in zip(batch, computed.result(), strict=True):
            entry.answer(outcome)
        if self._observe:
            waited = computing.started - batch[0].request.enqueued_at
            self._observe(BatchReport(len(batch), computing.tokens, waited, seconds))

    def _release(self, computing: Computing) -> None:
        """The lanes of a batch are idle."""
        self._pace.ended(computing)
        self._idle += computing.lanes

    def _gather(self, batch: list[Entry], seconds: float) -> None:
        """Let the lane wait for the clients that it answers, unless as much waits already."""
        answered = items_answered_by(batch)
        busy = not self._pace.is_idle or self._gathering.lanes
        if answered > self._waiting.live and busy and not self._closed:
            least = min(SHORTEST_GATHER_SECONDS, seconds / 2)
            share = min(seconds * GATHER_SHARE, LONGEST_GATHER_SECONDS)
            self._gathering.begin(answered, max(least, share))


def _is_wanted(batch: list[Entry]) -> bool:
    return not all(entry.request.future.done() for entry in batch)


def _expire(request: Request, timeout_seconds: float) -> None:
    message = f"no answer within the deadline of {timeout_seconds:g} s; "
    request.fail(DeadlineExceeded(message + "allow more time or send fewer inputs"))
