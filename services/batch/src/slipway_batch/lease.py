"""Renewal of the lease of a chunk while it is computed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog

from slipway_core.errors import StoreUnavailable
from slipway_core.store.chunks import ChunkRepository
from slipway_core.store.records import Claim
from slipway_core.tasks import cancel_and_wait

log = structlog.get_logger("slipway.batch")

RENEWALS_PER_LEASE = 3


@asynccontextmanager
async def keep_lease(
    chunks: ChunkRepository, claim: Claim, lease: timedelta
) -> AsyncIterator[None]:
    """Renew a lease within the block.

    A lost lease does not interrupt the block: the results are rejected when they are stored.
    """
    renewing = asyncio.create_task(_renew(chunks, claim, lease))
    try:
        yield
    finally:
        await cancel_and_wait(renewing)


async def _renew(chunks: ChunkRepository, claim: Claim, lease: timedelta) -> None:
    while True:
        await asyncio.sleep(lease.total_seconds() / RENEWALS_PER_LEASE)
        try:
            if not await chunks.renew(claim, lease):
                log.info("lost a lease", task_id=str(claim.job_id), chunk=claim.chunk)
                return
        except StoreUnavailable as error:
            # While the database is unavailable, no other worker can take the chunk either.
            log.warning("a lease was not renewed", code=error.code, cause=error.message)
