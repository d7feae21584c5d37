"""The state of the service in one look."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from slipway_core.errors import SlipwayError
from slipway_core.package.manifest import Manifest
from slipway_inference.serving.service import Service

_FRESH_SECONDS = 1.0
_LONGEST_CHECK_SECONDS = 3.0


class HealthCheck:
    """Asks the database and the queue at most once a second, however often it is called."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._started = time.monotonic()
        self._lock = asyncio.Lock()
        self._checked_at = float("-inf")
        self._database = self._redis = "not configured"

    async def summary(self) -> dict[str, Any]:
        """The body of GET /health."""
        async with self._lock:
            if time.monotonic() - self._checked_at > _FRESH_SECONDS:
                await self._ask()
                self._checked_at = time.monotonic()
        service = self._service
        reasons = self._reasons()
        status = "unavailable" if not service.ready or service.draining else "degraded"
        writer = service.prediction_log
        info = service.info if service.loaded else None
        manifest = info.manifest if info else None
        return {
            "status": status if reasons else "ok",
            "reasons": reasons,
            "model": service.model_name,
            "version": manifest.version if manifest else service.settings.model_version,
            "model_digest": manifest.digest if manifest else "",
            "modalities": manifest.served_modalities() if manifest else [],
            "columns": _columns(manifest) if manifest else [],
            "device": info.device if info else "",
            "precision": info.precision if info else "",
            "precision_reason": info.precision_reason if info else "",
            "queue": {
                "tokens": service.batcher.queued_tokens if service.loaded else 0,
                "max_tokens": service.settings.max_queue_tokens,
                "requests": service.batcher.inflight if service.loaded else 0,
            },
            "database": self._database,
            "redis": self._redis,
            "prediction_log": {
                "written": writer.written if writer else 0,
                "waiting": writer.waiting if writer else 0,
                "dropped": writer.dropped if writer else 0,
            },
            "uptime_seconds": round(time.monotonic() - self._started, 1),
        }

    async def _ask(self) -> None:
        service = self._service
        database = service.database.ping if service.database else None
        redis = service.doorbell.depth if service.doorbell else None
        self._database, self._redis = await asyncio.gather(_state(database), _state(redis))

    def _reasons(self) -> list[str]:
        """Why the status is not ok, in words."""
        service = self._service
        reasons = []
        if service.draining:
            reasons.append("the server is shutting down")
        elif service.model_error:
            reasons.append(service.model_error.message)
        elif not service.ready:
            reasons.append("the model is loading")
        if self._database == "not configured":
            reasons.append("no database: predictions are not logged, there are no batch jobs")
        elif self._database == "unavailable":
            reasons.append("the database does not answer: batch jobs and the log wait for it")
        if self._redis == "unavailable":
            reasons.append("the queue does not answer: batch jobs start late")
        elif self._redis == "not configured" and service.database:
            reasons.append("no queue: batch jobs start late")
        return reasons


def _columns(manifest: Manifest) -> list[str]:
    """The names of a row's numbers, of a model that has one input and names them."""
    return manifest.inputs[0].columns if len(manifest.inputs) == 1 else []


async def _state(check: Callable[[], Awaitable[object]] | None) -> str:
    if check is None:
        return "not configured"
    try:
        async with asyncio.timeout(_LONGEST_CHECK_SECONDS):
            await check()
    except (SlipwayError, TimeoutError):
        return "unavailable"
    return "ok"
