"""A job's progress as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from uuid import UUID

from slipway_core.errors import StoreUnavailable
from slipway_core.store.records import Job
from slipway_inference.api.jobs.job_json import progress_value
from slipway_inference.http.json import dump_json
from slipway_inference.serving.service import Service

POLL_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0


async def progress_events(service: Service, job: Job) -> AsyncIterator[bytes]:
    """An event `progress` for each change, `done` at the end; comments keep the connection alive.

    Ends early when the server drains: the client connects again, as event streams do.
    """
    yield b"retry: 2000\n\n" + _event(job)
    quiet = 0.0
    while not job.finished and not await _draining_within(service, POLL_SECONDS):
        quiet += POLL_SECONDS
        latest = await _read(service, job.id) or job
        if progress_value(latest) != progress_value(job):
            job = latest
            quiet = 0.0
            yield _event(job)
        elif quiet >= HEARTBEAT_SECONDS:
            quiet = 0.0
            yield b": still here\n\n"


def _event(job: Job) -> bytes:
    name = b"done" if job.finished else b"progress"
    return b"event: " + name + b"\ndata: " + dump_json(progress_value(job)) + b"\n\n"


async def _read(service: Service, job_id: UUID) -> Job | None:
    """The job; None while the database is away: the stream stays open and goes on later."""
    try:
        return await service.jobs.get(job_id)
    except StoreUnavailable:
        return None


async def _draining_within(service: Service, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await service.drain_started.wait()
    return service.draining
