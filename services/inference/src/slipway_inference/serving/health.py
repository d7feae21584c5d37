"""The summary of the service's state."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from slipway_core.errors import SchemaMismatch, SlipwayError
from slipway_core.models.model import Sandbox
from slipway_core.package.manifest import Manifest
from slipway_inference.serving.lifecycle import Lifecycle
from slipway_inference.serving.served_model import ServedModel
from slipway_inference.serving.stores import Stores
from slipway_inference.settings import InferenceSettings

FRESH_SECONDS = 1.0
"""How long an answer of the stores is used again."""
MAX_CHECK_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class _StoreState:
    state: str
    problem: str = ""


class HealthCheck:
    """Asks the database and the queue at most once a second, however often it is called."""

    def __init__(
        self, settings: InferenceSettings, model: ServedModel, stores: Stores, lifecycle: Lifecycle
    ) -> None:
        self._settings = settings
        self._model = model
        self._stores = stores
        self._lifecycle = lifecycle
        self._started = time.monotonic()
        self._lock = asyncio.Lock()
        self._checked_at = float("-inf")
        self._database = self._redis = _StoreState("not configured")

    async def summary(self) -> dict[str, Any]:
        """Return the body of GET /health."""
        async with self._lock:
            if time.monotonic() - self._checked_at > FRESH_SECONDS:
                await self._check_stores()
                self._checked_at = time.monotonic()
        reasons = self._reasons()
        unavailable = self._lifecycle.is_draining() or not self._model.is_ready
        status = "unavailable" if unavailable else "degraded"
        prediction_log = self._stores.prediction_log
        return {
            "status": status if reasons else "ok",
            "reasons": reasons,
            **self._model_facts(),
            "database": self._database.state,
            "redis": self._redis.state,
            "prediction_log": {
                "written": prediction_log.written,
                "waiting": prediction_log.waiting,
                "dropped": prediction_log.dropped,
            },
            "uptime_seconds": round(time.monotonic() - self._started, 1),
        }

    def _model_facts(self) -> dict[str, Any]:
        model = self._model
        info = model.info if model.is_loaded else None
        manifest = info.manifest if info else None
        return {
            "model": model.name,
            "version": manifest.version if manifest else self._settings.model_version,
            "model_digest": manifest.digest if manifest else "",
            "modalities": manifest.served_modalities() if manifest else [],
            "columns": _columns(manifest) if manifest else [],
            "device": info.device if info else "",
            "precision": info.precision if info else "",
            "precision_reason": info.precision_reason if info else "",
            "sandbox": msgspec.structs.asdict(info.sandbox if info else Sandbox()),
            "queue": {
                "tokens": model.batcher.queued_tokens if info else 0,
                "max_tokens": self._settings.max_queue_tokens,
                "requests": model.batcher.inflight if info else 0,
            },
        }

    async def _check_stores(self) -> None:
        doorbell = self._stores.doorbell
        self._database, self._redis = await asyncio.gather(
            _check(self._stores.check_database if self._stores.database else None),
            _check(doorbell.check if doorbell else None),
        )

    def _reasons(self) -> list[str]:
        """Return why the status is not ok, in words."""
        reasons = []
        if self._lifecycle.is_draining():
            reasons.append("the server is shutting down")
        elif self._model.error:
            reasons.append(self._model.error.message)
        elif not self._model.is_ready:
            reasons.append("the model is loading")
        log_problem = self._stores.prediction_log.problem
        if self._database.state == "not configured":
            reasons.append("no database: predictions are not logged, there are no batch jobs")
        elif self._database.problem:
            reasons.append(f"batch jobs and the prediction log may wait: {self._database.problem}")
        elif log_problem:
            reasons.append(f"the prediction log waits: {log_problem}")
        if self._redis.problem:
            reasons.append(f"batch jobs start late: {self._redis.problem}")
        elif self._redis.state == "not configured" and self._stores.database:
            reasons.append("no queue: batch jobs start late")
        return reasons


def _columns(manifest: Manifest) -> list[str]:
    """Return the names of a row's numbers, for a model with one input that names them."""
    return manifest.inputs[0].columns if len(manifest.inputs) == 1 else []


async def _check(check: Callable[[], Awaitable[object]] | None) -> _StoreState:
    if check is None:
        return _StoreState("not configured")
    try:
        async with asyncio.timeout(MAX_CHECK_SECONDS):
            await check()
    except SchemaMismatch as error:
        return _StoreState("schema mismatch", error.message)
    except SlipwayError as error:
        return _StoreState("unavailable", error.message)
    except TimeoutError:
        return _StoreState("unavailable", f"no answer within {MAX_CHECK_SECONDS:g} s")
    return _StoreState("ok")
