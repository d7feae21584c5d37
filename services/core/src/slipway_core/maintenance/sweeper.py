"""Mends what events have missed: rings, deadlines, partitions and webhooks.

Batch workers and inference servers sweep every few seconds, so the store is looked after as long as
any of them lives. All of it may run in several processes at once.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog

from slipway_core.errors import QueueUnavailable, SlipwayError, StoreUnavailable
from slipway_core.maintenance.backlog import measure
from slipway_core.queue.contract import Doorbell
from slipway_core.settings import ServiceSettings
from slipway_core.store.chunks import ChunkRepository
from slipway_core.store.jobs import JobRepository
from slipway_core.store.postgres.database import Database
from slipway_core.store.schema.partitions import maintain_partitions
from slipway_core.tasks import is_being_cancelled
from slipway_core.webhooks.sender import deliver_due

log = structlog.get_logger("slipway.sweeper")

MOST_RINGS = 1_000
"""Rings made up for in one sweep."""
PARTITIONS_SECONDS = 3_600
"""Pause of one process between looks at the partitions."""
PARTITIONS_RETRY_SECONDS = 600
"""The same after a look that failed: waiting for a table that is in use holds up its users."""
# Whoever stored or gave back a chunk rings for it at once: this is the time to let that happen.
_QUIET = timedelta(seconds=5)


async def keep_sweeping(
    database: Database,
    doorbell: Doorbell | None,
    settings: ServiceSettings,
    pause_seconds: float,
) -> None:
    """Sweep, and measure the backlog, until cancelled; what fails is logged and tried again."""
    sweeper = Sweeper(database, doorbell, settings)
    chunks = ChunkRepository(database, settings.queue_name)
    while True:
        # Measured first: a sweep of stores that are away takes its time to find that out.
        for work in (partial(measure, chunks, doorbell), sweeper.sweep):
            try:
                await work()
            except SlipwayError as error:
                log.warning("sweeping waits", code=error.code, cause=error.message)
            except Exception:
                if is_being_cancelled():
                    return  # what a driver says of a statement that it had to cancel
                log.exception("sweeping failed", code="InternalError")
        await asyncio.sleep(pause_seconds)


class Sweeper:
    """Looks after one deployment's queue, and the store, on behalf of one process."""

    def __init__(
        self, database: Database, doorbell: Doorbell | None, settings: ServiceSettings
    ) -> None:
        self._database = database
        self._doorbell = doorbell
        self._settings = settings
        self._partitions_due = 0.0

    async def sweep(self) -> None:
        """Look at everything once; partitions at the first time and then hourly.

        What fails keeps nothing else from being looked at. Raises StoreUnavailable in the end.
        """
        away: StoreUnavailable | None = None
        for step in (self._mend_rings, self._expire, self._deliver, self._maintain_partitions):
            try:
                await step()
            except StoreUnavailable as error:
                away = error
                part, code = step.__name__, error.code
                log.warning("a part of sweeping waits", part=part, code=code, cause=error.message)
            except Exception:
                if is_being_cancelled():
                    raise
                log.exception("sweeping failed", part=step.__name__, code="InternalError")
        if away is not None:
            raise away

    async def _mend_rings(self) -> None:
        if self._doorbell is None:
            return
        chunks = ChunkRepository(self._database, self._settings.queue_name)
        try:
            await ring_again(chunks, self._doorbell)
            await withdraw_left_rings(chunks, self._doorbell)
        except QueueUnavailable as error:
            log.warning("no rings were made up for", code=error.code, cause=error.message)

    async def _expire(self) -> None:
        expired = await JobRepository(self._database, self._settings).expire()
        if expired:
            log.info("jobs expired", jobs=expired)

    async def _deliver(self) -> None:
        await deliver_due(self._database, self._settings)

    async def _maintain_partitions(self) -> None:
        if time.monotonic() < self._partitions_due:
            return
        retention = timedelta(days=self._settings.retention_days)
        self._partitions_due = time.monotonic() + PARTITIONS_RETRY_SECONDS
        try:
            await maintain_partitions(self._database, datetime.now(UTC), retention)
        except Exception:
            # Rings and webhooks do not wait for a table that is in use.
            log.exception("the partitions were not maintained")
        else:
            self._partitions_due = time.monotonic() + PARTITIONS_SECONDS


async def ring_again(chunks: ChunkRepository, doorbell: Doorbell) -> int:
    """Ring for chunks that can be claimed and have no ring; returns how many.

    Raises StoreUnavailable and QueueUnavailable.
    """
    rings = await chunks.take_rings(await doorbell.waiting(), _QUIET, MOST_RINGS)
    if rings:
        await doorbell.ring(rings)
        log.info("rang again", rings=len(rings))
    return len(rings)


async def withdraw_left_rings(chunks: ChunkRepository, doorbell: Doorbell) -> int:
    """Take back the rings of a queue that has nothing to do; returns how many.

    A worker that died leaves the ring that it was answering, which autoscalers go on counting.
    Raises StoreUnavailable and QueueUnavailable.
    """
    rings = await doorbell.oldest()
    if not rings:
        return 0
    # Read after the rings, which are rung after their chunks are stored: what is new has others.
    backlog = await chunks.backlog()
    if backlog.waiting or backlog.running:
        return 0
    await doorbell.withdraw(rings)
    log.info("took back rings of work that is done", rings=len(rings))
    return len(rings)
