"""/predict/status/{task_id}: how a batch job is doing, its results, and cancelling it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from slipway_core import errors
from slipway_inference.api import responses
from slipway_inference.api.jobs.events import progress_events
from slipway_inference.api.jobs.job_json import job_value, progress_value, result_value
from slipway_inference.http.bodies import JSON, NDJSON
from slipway_inference.http.json import dump_json
from slipway_inference.http.links import status_path
from slipway_inference.http.openapi import problems, reference, success
from slipway_inference.http.streams import BoundedStream
from slipway_inference.serving.service import Service

router = APIRouter(tags=["batch"])

EVENT_STREAM = "text/event-stream"
_ERRORS = (
    errors.TaskNotFound,
    errors.InvalidInput,
    errors.StoreUnavailable,
    errors.InternalError,
)

TaskId = Annotated[UUID, Path(description="The job's `task_id`.")]


@router.get(
    "/predict/status/{task_id}",
    summary="Status and results of a batch job",
    description=(
        "A page of results as JSON; with `Accept: application/x-ndjson` all results that there are,"
        " one per line; with `Accept: text/event-stream` progress until the job ends. Results come"
        " as chunks finish, so before the job has ended an earlier page can still grow."
    ),
    response_class=Response,
    responses={
        200: {
            "description": "The job",
            "content": {
                JSON: {"schema": reference(responses.JobStatus)},
                NDJSON: {"schema": {"type": "string", "description": "A JobItem per line."}},
                EVENT_STREAM: {"schema": {"type": "string"}},
            },
        },
        **problems(*_ERRORS, errors.TooManyStreams),
    },
)
async def read_status(
    request: Request,
    task_id: TaskId,
    limit: Annotated[int, Query(ge=1, le=1000, description="Most results of one page.")] = 100,
    after: Annotated[
        int, Query(ge=-1, le=2**31 - 1, description="Only results after this index.")
    ] = -1,
) -> Response:
    service: Service = request.app.state.service
    job = await service.jobs.get(task_id)
    accept = request.headers.get("accept", "")
    if EVENT_STREAM in accept:
        return _stream(service, progress_events(service, job), EVENT_STREAM)
    if NDJSON in accept:
        return _stream(service, _all_results(service, task_id, after), NDJSON)
    results = await service.jobs.results(task_id, after, limit)
    more = len(results) == limit and results[-1].index < job.total - 1
    content = {
        **job_value(job),
        "results": [result_value(result) for result in results],
        "next": status_path(request.scope, task_id, limit=limit, after=results[-1].index)
        if more
        else None,
    }
    return Response(dump_json(content), media_type=JSON)


@router.delete(
    "/predict/status/{task_id}",
    summary="Cancel a batch job",
    description="What has not run is dropped; results that there are stay readable.",
    response_class=Response,
    responses={
        200: success("The job as it is now", responses.JobProgress),
        **problems(*_ERRORS),
    },
)
async def cancel(request: Request, task_id: TaskId) -> Response:
    service: Service = request.app.state.service
    job = await service.jobs.cancel(task_id)
    return Response(dump_json(progress_value(job)), media_type=JSON)


def _stream(service: Service, chunks: AsyncIterator[bytes], media_type: str) -> Response:
    room = ExitStack()
    room.enter_context(service.stream())
    return BoundedStream(
        chunks,
        media_type=media_type,
        idle_seconds=service.settings.body_idle_seconds,
        room=room,
    )


async def _all_results(service: Service, task_id: UUID, after: int) -> AsyncIterator[bytes]:
    """NDJSON, a page at a time."""
    async for page in service.jobs.result_pages(task_id, after):
        yield b"".join(dump_json(result_value(result)) + b"\n" for result in page)
