"""Periodic repair of what events have missed: rings, deadlines and partitions.

Batch workers and inference servers sweep every few seconds, so the store is maintained as long as
one of them runs. Several processes may sweep at the same time.
"""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from functools import partial

import structlog

from slipway_core.errors import QueueUnavailable, StoreUnavailable
from slipway_core.maintenance.backlog import measure, measure_storage
from slipway_core.maintenance.rounds import run_round
from slipway_core.queue.contract import Doorbell
from slipway_core.settings import ServiceSettings
from slipway_core.store.capacity import Capacity
from slipway_core.store.chunks import ChunkRepository
from slipway_core.store.jobs import JobRepository
from slipway_core.store.postgres.database import Database
from slipway_core.store.schema.partitions import maintain_partitions
from slipway_core.tasks import is_being_cancelled

log = structlog.get_logger("slipway.sweeper")

MAX_RINGS = 1_000
"""Maximum rings that one sweep sends."""
PARTITIONS_SECONDS = 3_600
"""Interval between checks of the partitions by one process, in seconds."""
PARTITIONS_RETRY_SECONDS = 600
"""Pause after a failed check, in seconds: waiting for the lock of a table blocks its users."""
# Whoever stored or returned a chunk rings for it at once; give that ring time to arrive.
_QUIET = timedelta(seconds=5)


async def keep_sweeping(
    database: Database,
    doorbell: Doorbell | None,
    settings: ServiceSettings,
    pause_seconds: float,
) -> None:
    """Measure the backlog and sweep until cancelled; failures are logged and retried."""
    sweeper = Sweeper(database, doorbell, settings)
    measuring = (
        partial(measure, database, ChunkRepository(database, settings.queue_name), doorbell),
        partial(measure_storage, database, settings.queue_name, Capacity.of(settings)),
    )
    while True:
        # Measured first: with unavailable stores, a sweep lasts until its timeouts.
        for work in (*measuring, sweeper.sweep):
            await run_round(work, log, waits="sweeping waits", fails="sweeping failed")
        await asyncio.sleep(pause_seconds)


class Sweeper:
    """The maintenance of one deployment's queue and of the store, by one process."""

    def __init__(
        self, database: Database, doorbell: Doorbell | None, settings: ServiceSettings
    ) -> None:
        self._database = database
        self._doorbell = doorbell
        self._settings = settings
        self._partitions_due = 0.0

    async def sweep(self) -> None:
        """Run all steps once; partitions are checked at the first sweep and then hourly.

        A step that fails does not stop the others. Raises StoreUnavailable at the end.
        """
        unavailable: StoreUnavailable | None = None
        for step in (self._repair_rings, self._expire_jobs, self._check_partitions):
            try:
                await step()
            except StoreUnavailable as error:
                unavailable = error
                part, code = step.__name__, error.code
                log.warning("a part of sweeping waits", part=part, code=code, cause=error.message)
            except Exception:
                if is_being_cancelled():
                    raise
                log.exception("sweeping failed", part=step.__name__, code="InternalError")
        if unavailable is not None:
            raise unavailable

    async def _repair_rings(self) -> None:
        if self._doorbell is None:
            return
        chunks = ChunkRepository(self._database, self._settings.queue_name)
        try:
            await send_missing_rings(chunks, self._doorbell)
            await withdraw_stale_rings(chunks, self._doorbell)
        except QueueUnavailable as error:
            log.warning("rings were not repaired", code=error.code, cause=error.message)

    async def _expire_jobs(self) -> None:
        expired = await JobRepository(self._database, self._settings).expire()
        if expired:
            log.info("jobs expired", jobs=expired)

    async def _check_partitions(self) -> None:
        if time.monotonic() < self._partitions_due:
            return
        retention = timedelta(days=self._settings.retention_days)
        self._partitions_due = time.monotonic() + PARTITIONS_RETRY_SECONDS
        try:
            await maintain_partitions(self._database, retention)
        except StoreUnavailable as error:
            log.warning("the partitions were not maintained", code=error.code, cause=error.message)
        except Exception:
            # A table in use must not delay rings.
            log.exception("the partitions were not maintained")
        else:
            self._partitions_due = time.monotonic() + PARTITIONS_SECONDS


async def send_missing_rings(chunks: ChunkRepository, doorbell: Doorbell) -> int:
    """Ring for claimable chunks that have no ring, and return for how many.

    Raises StoreUnavailable and QueueUnavailable.
    """
    rings = await chunks.reserve_rings(await doorbell.waiting(), _QUIET, MAX_RINGS)
    if rings:
        await doorbell.ring(rings)
        log.info("sent missing rings", rings=len(rings))
    return len(rings)


async def withdraw_stale_rings(chunks: ChunkRepository, doorbell: Doorbell) -> int:
    """Withdraw the rings of a queue without work, and return how many.

    A worker that died leaves the ring it handled, and autoscalers would count it forever. Raises
    StoreUnavailable and QueueUnavailable.
    """
    rings = await doorbell.oldest()
    if not rings:
        return 0
    # Read after the rings, which are sent after their chunks are stored: new work has other rings.
    backlog = await chunks.backlog()
    if backlog.waiting or backlog.running:
        return 0
    await doorbell.withdraw(rings)
    log.info("withdrew stale rings", rings=len(rings))
    return len(rings)
