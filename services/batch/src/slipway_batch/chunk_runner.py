"""Handling of a ring: claim a chunk, compute it, store its results."""

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
from slipway_core.inputs.items import Item, Outcome
from slipway_core.inputs.stored_form import from_stored
from slipway_core.store.chunks import ChunkRepository
from slipway_core.store.records import Claim, ItemResult
from slipway_core.store.splitting import ATTEMPTS_BEFORE_SPLIT

log = structlog.get_logger("slipway.batch")

STORE_RETRY_SECONDS = 1.0
RELEASE_TIMEOUT_SECONDS = 5
NO_ENGINE_RETRY_SECONDS = 5.0
FAILURE_PAUSE = timedelta(seconds=5)


class ChunkRunner:
    """Computes chunks of one queue.

    compute: returns an Outcome for each Item. lease: time after which another worker may take a
    chunk whose lease is not renewed. timeout_seconds: limit of the computation of a chunk, without
    waits for the database. concurrency: chunks computed at the same time. More may be claimed: they
    wait, so that computation goes on while the results of others are stored. can_compute: returns
    False while no engine is loaded; chunks are then left to other workers, since each claim that
    fails counts as an attempt.
    """

    def __init__(
        self,
        chunks: ChunkRepository,
        compute: Compute,
        *,
        lease: timedelta,
        timeout_seconds: float,
        concurrency: int,
        can_compute: Callable[[], bool] = lambda: True,
    ) -> None:
        self._chunks = chunks
        self._compute = compute
        self._lease = lease
        self._timeout_seconds = timeout_seconds
        self._can_compute = can_compute
        self._computing = asyncio.Semaphore(concurrency)
        self._gate = Gate()
        self._leases: set[UUID] = set()

    async def run_oldest(self) -> float | None:
        """Run the oldest chunk that can be claimed, whichever the ring was for.

        Return None, or the seconds after which to retry because the database is unavailable or no
        engine is loaded.
        """
        if not self._can_compute():
            log.warning("no chunk was claimed", cause="no engine has the model loaded")
            return NO_ENGINE_RETRY_SECONDS
        try:
            claim = await self._chunks.claim(self._lease, list(self._leases))
        except StoreUnavailable as error:
            log.warning("no chunk was claimed", code=error.code, cause=error.message)
            return STORE_RETRY_SECONDS
        if claim is not None:
            self._leases.add(claim.lease_token)
            try:
                await self._run(claim)
            finally:
                self._leases.discard(claim.lease_token)
        return None

    async def _run(self, claim: Claim) -> None:
        started = time.monotonic()
        try:
            async with (
                keep_lease(self._chunks, claim, self._lease),
                self._gate.enter(alone=claim.attempt > ATTEMPTS_BEFORE_SPLIT),
            ):
                await self._compute_and_store(claim)
        except asyncio.CancelledError:
            await _try_to_return(self._chunks.release(claim))
            CHUNKS.labels("released").inc()
            raise
        except Exception as error:
            code = error.code if isinstance(error, SlipwayError) else type(error).__name__
            log.exception("a chunk failed", task_id=str(claim.job_id), chunk=claim.chunk, code=code)
            await _try_to_return(self._chunks.retry_later(claim, FAILURE_PAUSE))
            CHUNKS.labels("failed").inc()
        else:
            CHUNK_SECONDS.observe(time.monotonic() - started)

    async def _compute_and_store(self, claim: Claim) -> None:
        """Compute a chunk and store its results.

        Both happen inside the gate: a chunk that kills the worker also loses the results of others
        that are not stored yet.
        """
        async with self._computing:
            if not await _until_stored(partial(self._chunks.begin, claim)):
                CHUNKS.labels("refused").inc()
                return
            async with asyncio.timeout(self._timeout_seconds):
                outcomes = await self._compute(_items(claim))
        results = _results(claim, outcomes)
        stored = await _until_stored(partial(self._chunks.complete, claim, results))
        CHUNKS.labels("done" if stored else "refused").inc()
        if stored:
            for result in results:
                ITEMS.labels(result.error_code or "ok").inc()


async def _until_stored(write: Callable[[], Awaitable[bool]]) -> bool:
    """Retry `write` without limit: computing the chunk again would take longer."""
    while True:
        try:
            return await write()
        except StoreUnavailable as error:
            log.warning("a chunk waits for the database", code=error.code, cause=error.message)
            await asyncio.sleep(STORE_RETRY_SECONDS)


async def _try_to_return(returning: Awaitable[None]) -> None:
    """Return a chunk to the queue; if that fails, its lease expires and has the same effect."""
    with suppress(StoreUnavailable, TimeoutError):
        async with asyncio.timeout(RELEASE_TIMEOUT_SECONDS):
            await returning


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
