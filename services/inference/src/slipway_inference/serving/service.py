"""What one inference process holds: the model, the database, the queue, and its own state.

Starting it returns at once: the listener answers /livez and /readyz while the model loads.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from slipway_core.batching.batcher import Batcher, BatchReport
from slipway_core.engines.pool import EnginePool
from slipway_core.errors import (
    Draining,
    ModelError,
    ModelLoadFailed,
    ModelNotReady,
    StoreUnavailable,
    TooManyStreams,
    UnknownModel,
)
from slipway_core.models.model import Item, ModelInfo, Outcome
from slipway_core.observability import metrics
from slipway_core.package.manifest import Manifest
from slipway_core.queue.contract import Doorbell
from slipway_core.tasks import cancel_and_wait
from slipway_inference.http.bodies import BodyMemory
from slipway_inference.serving.prediction_log import PredictionLog
from slipway_inference.settings import InferenceSettings

if TYPE_CHECKING:
    from slipway_core.store.jobs import JobRepository
    from slipway_core.store.postgres.database import Database
    from slipway_core.store.predictions import PredictionRepository

log = structlog.get_logger("slipway.service")

SWEEP_SECONDS = 10.0
"""Pause between looks after the store, which is done here too: batch workers scale to zero."""


class Engines(Protocol):
    """What the service needs of the engine processes."""

    info: ModelInfo
    size: int

    @property
    def alive(self) -> int: ...

    def run(
        self, items: Sequence[Item], *, whole: bool, wanted: Callable[[], bool]
    ) -> asyncio.Future[list[Outcome]]: ...

    def may_join(self) -> bool: ...

    async def close(self) -> None: ...


StartEngines = Callable[[InferenceSettings], Awaitable[Engines]]


class Service:
    """Made once for a process; `start` and `stop` run inside its event loop."""

    def __init__(
        self, settings: InferenceSettings, start_engines: StartEngines = EnginePool.start
    ) -> None:
        self.settings = settings
        self.created_at = datetime.now(UTC)
        self._start_engines = start_engines
        self.body_memory = BodyMemory(settings.max_buffered_bytes)
        self.prediction_log: PredictionLog | None = None
        self.database: Database | None = None
        self.doorbell: Doorbell | None = None
        self.drain_started = asyncio.Event()
        self.model_loaded = asyncio.Event()
        self.model_error: ModelError | None = None
        self.on_model_error: Callable[[], None] = lambda: None
        self.on_model_loaded: Callable[[], None] = lambda: None
        self._jobs: JobRepository | None = None
        self._predictions: PredictionRepository | None = None
        self._pool: Engines | None = None
        self._batcher: Batcher | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._streams = 0

    # State

    @property
    def draining(self) -> bool:
        return self.drain_started.is_set()

    @property
    def ready(self) -> bool:
        """Whether the model is loaded, by at least one engine, at the moment."""
        return self._pool is not None and self._pool.alive > 0

    @property
    def loaded(self) -> bool:
        """Whether the model has been loaded: it stays so while a dead engine is replaced."""
        return self._pool is not None

    @property
    def model_name(self) -> str:
        """The name of the model that is served; empty while it is not known yet."""
        return self._pool.info.manifest.name if self._pool else self.settings.model_name

    @property
    def info(self) -> ModelInfo:
        """Facts of the loaded model; raises ModelNotReady."""
        if self._pool is None:
            raise ModelNotReady("the model is still loading; try again soon")
        return self._pool.info

    @property
    def manifest(self) -> Manifest:
        return self.info.manifest

    def check_ready(self) -> None:
        """Raises Draining or ModelNotReady when requests should not be sent here."""
        if self.draining:
            raise Draining("this server is shutting down")
        if not self.ready:
            cause = self.model_error.message if self.model_error else "the model is still loading"
            raise ModelNotReady(cause)

    def check_model(self, name: str, version: str = "") -> None:
        """Raises UnknownModel when a request asks for another model, or another version of it, and
        ModelNotReady when its version is not known yet.
        """
        served = self.model_name
        if served and name != served:
            raise UnknownModel(f"no model '{name[:64]}' is served here; this server has '{served}'")
        if version and version != self.manifest.version:
            raise UnknownModel(
                f"no version '{version[:64]}' is served here; this server has "
                f"'{self.manifest.version}'"
            )

    @property
    def batcher(self) -> Batcher:
        """Raises ModelNotReady while the model loads."""
        if self._batcher is None:
            raise ModelNotReady("the model is still loading; try again soon")
        return self._batcher

    @property
    def jobs(self) -> JobRepository:
        """Raises StoreUnavailable when no database is configured."""
        if self._jobs is None:
            raise _no_database("batch jobs")
        return self._jobs

    @property
    def predictions(self) -> PredictionRepository:
        """Raises StoreUnavailable when no database is configured."""
        if self._predictions is None:
            raise _no_database("the prediction log")
        return self._predictions

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Room for one upload, result or progress stream; raises TooManyStreams."""
        if self._streams >= self.settings.max_streams:
            raise TooManyStreams(
                f"{self._streams} streams are open, which is the most; try again soon",
                retry_after_seconds=5,
            )
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    # Life

    async def start(self) -> None:
        """Open what needs no waiting, and begin to load the model."""
        if self.settings.database_url.get_secret_value():
            await self._open_store()
        if self.settings.redis_url.get_secret_value():
            from slipway_core.queue.doorbell import ArqDoorbell

            self.doorbell = await ArqDoorbell.connect(self.settings)
        if self.database:
            from slipway_core.maintenance.sweeper import (
                keep_sweeping,  # it imports the database driver
            )

            self._run(keep_sweeping(self.database, self.doorbell, self.settings, SWEEP_SECONDS))
        self._run(self._load_model())

    async def _open_store(self) -> None:
        # psycopg is imported only where there is a database: start-up stays quick without one.
        from slipway_core.store.jobs import JobRepository
        from slipway_core.store.postgres.database import Database
        from slipway_core.store.predictions import PredictionRepository

        self.database = await Database.open(self.settings)
        self._jobs = JobRepository(self.database, self.settings)
        self._predictions = PredictionRepository(self.database)
        self.prediction_log = PredictionLog(
            self._predictions.insert, max_rows=self.settings.log_queue_rows
        )
        self.prediction_log.start()

    async def _load_model(self) -> None:
        try:
            pool = await self._start_engines(self.settings)
        except Exception as error:
            self._give_up(error)
            return
        self._batcher = Batcher(
            pool.run,
            engines=pool.size,
            lanes=pool.info.lanes,
            max_batch_tokens=self.settings.max_batch_tokens,
            max_queue_tokens=self.settings.max_queue_tokens,
            may_join=pool.may_join,
            observe=_observe,
        )
        self._pool = pool
        self.on_model_loaded()
        self.model_loaded.set()
        _publish(pool.info, self._batcher)
        log.info("ready", model=self.model_name, version=self.manifest.version)

    def _give_up(self, error: Exception) -> None:
        unexpected = None if isinstance(error, ModelError) else error
        if not isinstance(error, ModelError):
            error = ModelLoadFailed(f"the model could not be loaded: {error!r}")
        self.model_error = error
        log.critical(
            "the model cannot be served", code=error.code, cause=error.message, exc_info=unexpected
        )
        self.on_model_error()

    async def stop(self) -> None:
        """Answer what was accepted, write what is to be logged, end the engines."""
        await cancel_and_wait(*self._tasks)
        if self._batcher:
            self._batcher.close()
            # The server has waited for them as long as it may.
            self._batcher.refuse_waiting()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.settings.drain_timeout_seconds):
                    await self._batcher.drain()
        if self.prediction_log:
            await self.prediction_log.close()
        if self._pool:
            await self._pool.close()
        if self.doorbell:
            await self.doorbell.close()
        if self.database:
            await self.database.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))


def _no_database(what: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"{what} need a database and none is configured: set SLIPWAY_DATABASE_URL"
    )


def _observe(batch: BatchReport) -> None:
    metrics.BATCH_ITEMS.observe(batch.items)
    metrics.BATCH_TOKENS.observe(batch.tokens)
    metrics.BATCH_COMPUTE.observe(batch.compute_seconds)
    metrics.QUEUE_WAIT.observe(batch.queue_seconds)


def _publish(info: ModelInfo, batcher: Batcher) -> None:
    manifest = info.manifest
    metrics.MODEL_INFO.labels(
        manifest.name, manifest.version, manifest.digest, info.device, info.precision
    ).set(1)
    metrics.MODEL_PRECISION_INFO.labels(info.precision, info.precision_cause).set(1)
    metrics.MODEL_LOAD.set(info.load_seconds)
    metrics.QUEUE_TOKENS.set_function(lambda: batcher.queued_tokens)
    metrics.REQUESTS_IN_FLIGHT.set_function(lambda: batcher.inflight)
