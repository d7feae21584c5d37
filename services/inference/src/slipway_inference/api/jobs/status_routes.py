"""/predict/status/{task_id}: the state of a batch job and its results; cancelling and retrying."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from slipway_core import errors
from slipway_core.store.records import ItemResult, Job
from slipway_inference.api.jobs.job_values import job_value, progress_value, result_value
from slipway_inference.api.jobs.notification import notify_workers
from slipway_inference.api.jobs.progress_events import progress_events
from slipway_inference.api.jobs.schemas import JobProgress, JobStatus
from slipway_inference.http.bodies import JSON, NDJSON
from slipway_inference.http.context import context_of
from slipway_inference.http.json import (
    JSON_BYTES_PER_VECTOR_BYTE,
    encode_json,
    encoded_list,
    json_response,
)
from slipway_inference.http.large_work import LargeWork
from slipway_inference.http.openapi import error_responses, reference, success
from slipway_inference.http.problems import PROBLEMS
from slipway_inference.http.streams import BoundedStream
from slipway_inference.serving.admission import Admission
from slipway_inference.serving.lifecycle import Lifecycle
from slipway_inference.serving.served_model import ServedModel
from slipway_inference.serving.stores import Stores
from slipway_inference.serving.stream_slots import Stream, StreamSlots
from slipway_inference.settings import InferenceSettings

if TYPE_CHECKING:  # the database driver is imported only where there is a database
    from slipway_core.store.jobs import JobRepository
    from slipway_core.store.postgres.page import Page

EVENT_STREAM = "text/event-stream"
MAX_PAGE_RESULTS = 1000
MAX_INDEX = 2**31 - 1
_ERRORS = (
    errors.TaskNotFound,
    errors.InvalidInput,
    errors.StoreUnavailable,
    errors.InternalError,
)
_READ_STATUS: dict[str, Any] = {
    "summary": "Status and results of a batch job",
    "description": (
        "A page of results as JSON; with `Accept: application/x-ndjson` all results that there are,"
        " one per line; with `Accept: text/event-stream` progress until the job ends. Results come"
        " as chunks finish, so before the job has ended an earlier page can still grow."
    ),
    "response_class": Response,
    "responses": {
        200: {
            "description": "The job",
            "content": {
                JSON: {"schema": reference(JobStatus)},
                NDJSON: {"schema": {"type": "string", "description": "A JobItem per line."}},
                EVENT_STREAM: {"schema": {"type": "string"}},
            },
        },
        **error_responses(PROBLEMS, *_ERRORS, errors.TooManyStreams),
    },
}
_CANCEL: dict[str, Any] = {
    "summary": "Cancel a batch job",
    "description": "What has not run is dropped; results that there are stay readable.",
    "response_class": Response,
    "responses": {
        200: success("The job as it is now", JobProgress),
        **error_responses(PROBLEMS, *_ERRORS),
    },
}
_RETRY: dict[str, Any] = {
    "summary": "Compute the failed items of a batch job again",
    "description": (
        "Queues the items that ended with an error, once the job has ended; results that there are"
        " stay. Nothing changes while the job runs, or when nothing has failed, so that a repeated"
        " request does no harm."
    ),
    "response_class": Response,
    "responses": {
        200: success("The job as it is now", JobProgress),
        **error_responses(PROBLEMS, *_ERRORS, errors.RetryRefused, errors.ModelNotReady),
    },
}
TaskId = Annotated[UUID, Path(description="The job's `task_id`.")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE_RESULTS, description="Most results of one page.")]
After = Annotated[int, Query(ge=-1, le=MAX_INDEX, description="Only results after this index.")]


def status_path(request: Request, task_id: UUID, **query: Any) -> str:
    """Return the path of a job's status as this client has to request it."""
    return context_of(request.scope).path(f"/predict/status/{task_id}", **query)


def create_router(
    settings: InferenceSettings,
    model: ServedModel,
    stores: Stores,
    admission: Admission,
    lifecycle: Lifecycle,
) -> APIRouter:
    """Return the routes of jobs that have been submitted. A client that reads nothing of a stream
    for `body_idle_seconds` is disconnected.
    """
    router = APIRouter(tags=["batch"])
    idle_seconds, lifetime = settings.body_idle_seconds, settings.progress_stream_seconds

    @router.get("/predict/status/{task_id}", **_READ_STATUS)
    async def read_status(
        request: Request, task_id: TaskId, limit: Limit = 100, after: After = -1
    ) -> Response:
        jobs = stores.jobs
        job = await jobs.get(task_id)
        accept = request.headers.get("accept", "")
        if EVENT_STREAM in accept:
            events = progress_events(jobs, job, lifecycle.drain_started, lifetime)
            slot = _hold(admission.streams, Stream.PROGRESS, request)
            return BoundedStream(events, EVENT_STREAM, idle_seconds, slot)
        if NDJSON in accept:
            lines = _all_results(jobs, task_id, after, admission.large_work)
            slot = _hold(admission.streams, Stream.RESULTS, request)
            return BoundedStream(lines, NDJSON, idle_seconds, slot)
        results = await jobs.results(task_id, after, limit)
        render = partial(_respond, request, job, results, limit)
        return await admission.large_work.run(JSON_BYTES_PER_VECTOR_BYTE * results.size, render)

    @router.delete("/predict/status/{task_id}", **_CANCEL)
    async def cancel(request: Request, task_id: TaskId) -> Response:
        return json_response(progress_value(await stores.jobs.cancel(task_id)))

    @router.post("/predict/status/{task_id}/retry", **_RETRY)
    async def retry(request: Request, task_id: TaskId) -> Response:
        job, rings = await stores.jobs.retry(task_id, model.manifest.digest)
        await notify_workers(stores.doorbell, rings)
        return json_response(progress_value(job))

    return router


def _hold(streams: StreamSlots, kind: Stream, request: Request) -> ExitStack:
    """Hold a slot until the returned stack is closed."""
    slot = ExitStack()
    slot.enter_context(streams.hold(kind, request.scope))
    return slot


def _respond(request: Request, job: Job, results: Page[ItemResult], limit: int) -> Response:
    return json_response(
        {
            **job_value(job),
            "results": encoded_list([result_value(result) for result in results]),
            "next": _next_page(request, job, results, limit),
        }
    )


def _next_page(request: Request, job: Job, results: Page[ItemResult], limit: int) -> str | None:
    is_full = len(results) == limit or results.is_cut
    if not is_full or results[-1].index >= job.total - 1:
        return None
    return status_path(request, job.id, limit=limit, after=results[-1].index)


async def _all_results(
    jobs: JobRepository, task_id: UUID, after: int, large_work: LargeWork
) -> AsyncIterator[bytes]:
    """Yield NDJSON, a page at a time."""
    async for page in jobs.result_pages(task_id, after):
        yield await large_work.run(JSON_BYTES_PER_VECTOR_BYTE * page.size, partial(_lines, page))


def _lines(results: list[ItemResult]) -> bytes:
    return b"".join(encode_json(result_value(result)) + b"\n" for result in results)
