"""The batch worker process: engines, a queue of rings, and the store that holds the work."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial

import structlog

from slipway_batch.chunk_runner import ChunkRunner
from slipway_batch.settings import BatchSettings
from slipway_batch.slices import Compute, in_slices
from slipway_core.batching.batcher import Batcher
from slipway_core.engines.pool import EnginePool
from slipway_core.errors import Draining, ModelNotReady, SlipwayError
from slipway_core.inputs.cost import estimate_tokens
from slipway_core.inputs.items import Item, Outcome
from slipway_core.maintenance.sweeper import keep_sweeping
from slipway_core.maintenance.webhooks.sender import keep_delivering
from slipway_core.probe_server import ProbeServer
from slipway_core.queue.doorbell import ArqDoorbell
from slipway_core.queue.worker import QueueWorker
from slipway_core.store.chunks import ChunkRepository
from slipway_core.store.postgres.database import Database
from slipway_core.tasks import cancel_and_wait

log = structlog.get_logger("slipway.batch")

BATCH_FACTOR = 4
"""Factor by which batches of a worker are larger than those of a server. No request waits for them,
and a text model computes up to a tenth more this way.
"""


class BatchWorker:
    """One worker process. `run` returns after `stop` was called."""

    def __init__(self, settings: BatchSettings) -> None:
        self._settings = settings
        self._stop = asyncio.Event()
        self._pool: EnginePool | None = None

    def stop(self) -> None:
        """Take no more chunks, finish the running ones, then end."""
        if not self._stop.is_set():
            log.info("draining")
        self._stop.set()

    async def run(self) -> None:
        """Serve the queue. Raises InvalidSettings or ModelError when the worker cannot start."""
        probes = ProbeServer(self._check_ready)
        if self._settings.metrics_port:
            await probes.start(
                self._settings.interfaces(self._settings.metrics_host), self._settings.metrics_port
            )
        try:
            async with AsyncExitStack() as stack:
                database = await Database.open(self._settings)
                stack.push_async_callback(database.close)
                doorbell = await ArqDoorbell.connect(self._settings)
                stack.push_async_callback(doorbell.close)
                await self._serve(database, doorbell)
        finally:
            await probes.close()

    async def _serve(self, database: Database, doorbell: ArqDoorbell) -> None:
        pool = await self._start_engines()
        if pool is None:
            return
        maintaining = [
            asyncio.create_task(
                keep_sweeping(database, doorbell, self._settings, self._settings.sweep_seconds)
            ),
            asyncio.create_task(keep_delivering(database, self._settings)),
        ]
        try:
            await self._handle_rings(database, pool)
        finally:
            await cancel_and_wait(*maintaining)
            await pool.close()

    async def _start_engines(self) -> EnginePool | None:
        """Load the model. Return None when the worker was stopped first."""
        starting = asyncio.create_task(EnginePool.start(self._settings))
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not starting.done():
            await cancel_and_wait(starting)
            return None
        pool = self._pool = await starting
        log.info(
            "ready",
            model=pool.info.manifest.name,
            version=pool.info.manifest.version,
            queue=self._settings.queue_name,
        )
        return pool

    def _check_ready(self) -> None:
        """Raise Draining or ModelNotReady when the worker takes no chunks."""
        if self._stop.is_set():
            raise Draining("this worker is shutting down")
        if not self._can_compute():
            raise ModelNotReady("the model is loading")

    def _can_compute(self) -> bool:
        """Return whether an engine has the model loaded; after a crash it takes time to reload."""
        return self._pool is not None and self._pool.alive > 0

    def _compute_on(self, pool: EnginePool) -> Compute:
        """Return a function that distributes items over the lanes of all engines."""
        all_lanes = pool.size * pool.info.lanes
        max_batch_tokens = BATCH_FACTOR * self._settings.max_batch_tokens
        estimate = partial(estimate_tokens, pool.info.manifest)
        batcher = Batcher(
            pool.run,
            engines=pool.size,
            lanes=pool.info.lanes,
            max_batch_tokens=max_batch_tokens,
            max_queue_tokens=sys.maxsize,  # the claimed chunks are the bound
            may_use_all_cores=pool.may_use_all_cores,
            drop=pool.drop,
        )

        async def compute(items: list[Item]) -> list[Outcome]:
            return await batcher.submit(items, [estimate(item) for item in items])

        return in_slices(compute, estimate, all_lanes * max_batch_tokens)

    async def _handle_rings(self, database: Database, pool: EnginePool) -> None:
        # One chunk more than engines is computed, because engines idle at the end of each slice.
        # Another one is claimed, so that it can start as soon as one of them ends.
        concurrency = pool.size + 1
        slots = concurrency + 1
        runner = ChunkRunner(
            ChunkRepository(
                database,
                self._settings.queue_name,
                pool.info.manifest.digest,
                self._settings.max_lost_leases,
            ),
            self._compute_on(pool),
            lease=timedelta(seconds=self._settings.lease_seconds),
            timeout_seconds=self._settings.chunk_timeout_seconds,
            concurrency=concurrency,
            can_compute=self._can_compute,
        )
        worker = QueueWorker(
            self._settings,
            runner.run_oldest,
            slots=slots,
            # A suspected chunk first waits for all others to end.
            ring_timeout_seconds=slots * self._settings.chunk_timeout_seconds + 60,
        )
        await worker.run(self._stop, self._settings.drain_seconds)


def serve(settings: BatchSettings) -> int:
    """Run a worker until SIGTERM or SIGINT. Return the exit status: 1 when it cannot start."""

    async def run() -> None:
        worker = BatchWorker(settings)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)
        await worker.run()

    try:
        asyncio.run(run())
    except SlipwayError as error:
        log.critical("the worker cannot run", code=error.code, cause=error.message)
        return 1
    return 0
