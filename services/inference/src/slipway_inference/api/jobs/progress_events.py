"""The progress of a job as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from uuid import UUID

from slipway_core.errors import StoreUnavailable
from slipway_core.store.records import Job
from slipway_inference.api.jobs.job_values import progress_value
from slipway_inference.http.json import encode_json

if TYPE_CHECKING:  # the database driver is imported only where there is a database
    from slipway_core.store.jobs import JobRepository

POLL_SECONDS = 0.5
RETRY = b"retry: 2000\n\n"
"""The pause before clients connect again, in milliseconds."""
HEARTBEAT_SECONDS = 15.0


async def progress_events(
    jobs: JobRepository, job: Job, drain_started: asyncio.Event, lifetime_seconds: float
) -> AsyncIterator[bytes]:
    """Yield an event `progress` for each change and `done` at the end; comments keep the connection
    alive.

    The stream ends early with an event `reconnect` when its lifetime is over or the server drains:
    clients of event streams connect again.
    """
    yield RETRY + _event(job)
    loop = asyncio.get_running_loop()
    end = loop.time() + lifetime_seconds
    quiet_seconds = 0.0
    while not job.finished:
        if await _is_set_within(drain_started, POLL_SECONDS) or loop.time() > end:
            yield b"event: reconnect\ndata: {}\n\n"
            return
        quiet_seconds += POLL_SECONDS
        latest = await _read(jobs, job.id) or job
        if progress_value(latest) != progress_value(job):
            job = latest
            quiet_seconds = 0.0
            yield _event(job)
        elif quiet_seconds >= HEARTBEAT_SECONDS:
            quiet_seconds = 0.0
            yield b": still here\n\n"


def _event(job: Job) -> bytes:
    name = b"done" if job.finished else b"progress"
    return b"event: " + name + b"\ndata: " + encode_json(progress_value(job)) + b"\n\n"


async def _read(jobs: JobRepository, job_id: UUID) -> Job | None:
    """Return the job, or None while the database is away: the stream stays open meanwhile."""
    try:
        return await jobs.get(job_id)
    except StoreUnavailable:
        return None


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
