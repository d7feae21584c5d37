"""Answers one ring: claims a chunk, computes it, writes its results."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from uuid import UUID

import structlog

from slipway_batch.gate import Gate
from slipway_batch.lease import keep_lease
from slipway_batch.metrics import CHUNK_SECONDS, CHUNKS, ITEMS
from slipway_batch.slices import Compute
from slipway_core.errors import SlipwayError, StoreUnavailable
from slipway_core.inputs.parsing import from_stored
from slipway_core.models.model import Item, Outcome
from slipway_core.store.chunks import ChunkRepository
from slipway_core.store.records import Claim, ItemResult
from slipway_core.store.splitting import FIRST_SUSPICION

log = structlog.get_logger("slipway.batch")

STORE_PAUSE_SECONDS = 1.0
RELEASE_TIMEOUT_SECONDS = 5
NO_ENGINE_PAUSE_SECONDS = 5.0
FAILURE_PAUSE = timedelta(seconds=5)


class ChunkRunner:
    """Computes chunks of one queue.

    compute: turns Items into as many Outcomes. lease: how long a chunk is ours without news of us.
    timeout_seconds: longest computation of a chunk; waiting for the database does not count.
    at_once: how many chunks are computed at a time; others that are claimed wait for their turn, or
    all would end at the same time, and nothing be computed while their results are written.
    can_compute: says no while there is no engine; chunks are left to other workers then, for their
    attempts are counted.
    """

    def __init__(
        self,
        chunks: ChunkRepository,
        compute: Compute,
        *,
        lease: timedelta,
        timeout_seconds: float,
        at_once: int,
        can_compute: Callable[[], bool] = lambda: True,
    ) -> None:
        self._chunks = chunks
        self._compute = compute
        self._lease = lease
        self._timeout_seconds = timeout_seconds
        self._can_compute = can_compute
        self._turns = asyncio.Semaphore(at_once)
        self._gate = Gate()
        self._held: set[UUID] = set()

    async def answer(self) -> float | None:
        """Work on the oldest chunk there is, whichever the ring was for.

        Returns None, or after how many seconds to ring again because the database is away, or no
        engine can compute.
        """
        if not self._can_compute():
            log.warning("no chunk was claimed", cause="no engine has the model loaded")
            return NO_ENGINE_PAUSE_SECONDS
        try:
            claim = await self._chunks.claim(self._lease, list(self._held))
        except StoreUnavailable as error:
            log.warning("no chunk was claimed", code=error.code, cause=error.message)
            return STORE_PAUSE_SECONDS
        if claim is not None:
            self._held.add(claim.lease_token)
            try:
                await self._run(claim)
            finally:
                self._held.discard(claim.lease_token)
        return None

    async def _run(self, claim: Claim) -> None:
        started = time.monotonic()
        try:
            async with (
                keep_lease(self._chunks, claim, self._lease),
                self._gate.enter(alone=claim.attempt > FIRST_SUSPICION),
            ):
                await self._work(claim)
        except asyncio.CancelledError:
            await self._give_back(self._chunks.release(claim))
            CHUNKS.labels("released").inc()
            raise
        except Exception as error:
            code = error.code if isinstance(error, SlipwayError) else type(error).__name__
            log.exception("a chunk failed", task_id=str(claim.job_id), chunk=claim.chunk, code=code)
            await self._give_back(self._chunks.abandon(claim, FAILURE_PAUSE))
            CHUNKS.labels("failed").inc()
        else:
            CHUNK_SECONDS.observe(time.monotonic() - started)

    async def _work(self, claim: Claim) -> None:
        """Compute a chunk and store its results.

        Both inside the gate: until its results are stored a chunk can suffer from what runs beside.
        """
        async with self._turns:
            if not await _persist(partial(self._chunks.begin, claim)):
                CHUNKS.labels("refused").inc()
                return
            async with asyncio.timeout(self._timeout_seconds):
                outcomes = await self._compute(_items(claim))
        results = _results(claim, outcomes)
        written = await _persist(partial(self._chunks.complete, claim, results))
        CHUNKS.labels("done" if written else "refused").inc()
        if written:
            for result in results:
                ITEMS.labels(result.error_code or "ok").inc()

    async def _give_back(self, giving: Awaitable[None]) -> None:
        # When this fails the lease runs out, which has the same effect later.
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(RELEASE_TIMEOUT_SECONDS):
                await giving


async def _persist(write: Callable[[], Awaitable[bool]]) -> bool:
    """Write for as long as it takes: computing the chunk again would take longer."""
    while True:
        try:
            return await write()
        except StoreUnavailable as error:
            log.warning("a chunk waits for the database", code=error.code, cause=error.message)
            await asyncio.sleep(STORE_PAUSE_SECONDS)


def _items(claim: Claim) -> list[Item]:
    return [
        from_stored(claim.modality, stored, claim.labels, claim.parameters)
        for stored in claim.inputs
    ]


def _results(claim: Claim, outcomes: list[Outcome]) -> list[ItemResult]:
    if len(outcomes) != len(claim.inputs):
        raise ValueError(f"{len(outcomes)} outcomes for {len(claim.inputs)} inputs")
    return [
        ItemResult(
            index=claim.first_index + offset,
            prediction=None if outcome.failure else outcome.prediction,
            embedding=outcome.embedding,
            error_code=outcome.failure.code if outcome.failure else None,
            error_message=outcome.failure.message if outcome.failure else None,
            attempts=claim.attempt,
        )
        for offset, outcome in enumerate(outcomes)
    ]
