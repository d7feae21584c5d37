"""The model that this process serves: loading it, its facts, and its queue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog

from slipway_core.batching.batcher import Batcher, BatchReport
from slipway_core.errors import ModelError, ModelLoadFailed, ModelNotReady, UnknownModel
from slipway_core.inputs.image_header import ImageLimits
from slipway_core.inputs.items import Item, Outcome
from slipway_core.models.model import ModelInfo
from slipway_core.package.manifest import Manifest
from slipway_inference.serving import metrics
from slipway_inference.settings import InferenceSettings

log = structlog.get_logger("slipway.service")

MAX_SHOWN_NAME_CHARACTERS = 64
"""How much of a name from a client an error repeats."""
_LOADING = "the model is still loading; try again soon"


class Engines(Protocol):
    """The engine processes, as far as a server uses them."""

    info: ModelInfo
    size: int

    @property
    def alive(self) -> int: ...

    def run(
        self, items: Sequence[Item], *, all_cores: bool, is_wanted: Callable[[], bool]
    ) -> asyncio.Future[list[Outcome]]: ...

    def drop(self, outcomes: asyncio.Future[list[Outcome]], indices: Sequence[int]) -> None: ...

    def may_use_all_cores(self) -> bool: ...

    async def close(self) -> None: ...


StartEngines = Callable[[InferenceSettings], Awaitable[Engines]]


class ServedModel:
    """The model of a server. It has none until `load` has ended. Lives on one event loop."""

    def __init__(self, settings: InferenceSettings, start_engines: StartEngines) -> None:
        self._settings = settings
        self._start_engines = start_engines
        self._engines: Engines | None = None
        self._batcher: Batcher | None = None
        self.settled = asyncio.Event()
        """Set when the model has been loaded, or cannot be."""
        self.error: ModelError | None = None
        """Why the model cannot be served."""

    @property
    def is_loaded(self) -> bool:
        """Whether the model has been loaded. It stays so while a dead engine is replaced."""
        return self._engines is not None

    @property
    def is_ready(self) -> bool:
        """Whether at least one engine has the model loaded at the moment."""
        return self._engines is not None and self._engines.alive > 0

    @property
    def name(self) -> str:
        """The name of the model; empty while it is not known yet."""
        return self._engines.info.manifest.name if self._engines else self._settings.model_name

    @property
    def info(self) -> ModelInfo:
        """Facts of the loaded model. Raises ModelNotReady."""
        if self._engines is None:
            raise ModelNotReady(_LOADING)
        return self._engines.info

    @property
    def manifest(self) -> Manifest:
        """The manifest of the loaded model. Raises ModelNotReady."""
        return self.info.manifest

    @property
    def image_limits(self) -> ImageLimits:
        """The limits of images."""
        return ImageLimits(self._settings.max_image_pixels, self._settings.max_image_side)

    @property
    def batcher(self) -> Batcher:
        """The queue in front of the engines. Raises ModelNotReady."""
        if self._batcher is None:
            raise ModelNotReady(_LOADING)
        return self._batcher

    def check_ready(self) -> None:
        """Raise ModelNotReady unless the model answers at the moment."""
        if not self.is_ready:
            raise ModelNotReady(self.error.message if self.error else "the model is still loading")

    def check_name(self, name: str, version: str = "") -> None:
        """Raise UnknownModel for another model or another version of it, and ModelNotReady when
        the version is not known yet.
        """
        served = self.name
        if served and name != served:
            shown = name[:MAX_SHOWN_NAME_CHARACTERS]
            raise UnknownModel(f"no model '{shown}' is served here; this server has '{served}'")
        if version and version != self.manifest.version:
            shown = version[:MAX_SHOWN_NAME_CHARACTERS]
            raise UnknownModel(
                f"no version '{shown}' is served here; this server has '{self.manifest.version}'"
            )

    async def load(self) -> None:
        """Start the engines and load the model. A failure is kept in `error` and logged."""
        try:
            engines = await self._start_engines(self._settings)
        except Exception as error:
            self._fail(error)
            return
        self._batcher = Batcher(
            engines.run,
            engines=engines.size,
            lanes=engines.info.lanes,
            max_batch_tokens=self._settings.max_batch_tokens,
            max_queue_tokens=self._settings.max_queue_tokens,
            may_use_all_cores=engines.may_use_all_cores,
            drop=engines.drop,
            observe=_observe,
        )
        self._engines = engines
        self.settled.set()
        _publish(engines.info, self._batcher)
        log.info("ready", model=self.name, version=self.manifest.version)

    def reject_queued(self) -> None:
        """Reject queued and new requests with Draining. Batches that are computed go on."""
        if self._batcher:
            self._batcher.close()
            self._batcher.reject_queued()

    async def close(self) -> None:
        """End the engines."""
        if self._engines:
            await self._engines.close()

    def _fail(self, error: Exception) -> None:
        unexpected = None if isinstance(error, ModelError) else error
        if not isinstance(error, ModelError):
            error = ModelLoadFailed(f"the model could not be loaded: {error!r}")
        self.error = error
        log.critical(
            "the model cannot be served", code=error.code, cause=error.message, exc_info=unexpected
        )
        self.settled.set()


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
