"""POST /predict/{modality}/batch: store a job of any length, and respond when it is safe."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from slipway_core import errors
from slipway_core.inputs.parsing import check_modality
from slipway_core.maintenance.webhooks.address_policy import WebhookAddressPolicy
from slipway_inference.api.jobs.notification import notify_workers
from slipway_inference.api.jobs.schemas import BatchRequest, JobAccepted
from slipway_inference.api.jobs.status_routes import status_path
from slipway_inference.api.jobs.submission_reader import QUERY_PARAMETERS, SubmissionReader
from slipway_inference.http.bodies import BODY_ERRORS, JSON, NDJSON
from slipway_inference.http.json import json_response
from slipway_inference.http.openapi import EXAMPLE_ID, error_responses, reference, success
from slipway_inference.http.problems import PROBLEMS
from slipway_inference.http.routing import LeanRoute
from slipway_inference.prediction.fields import unknown_modality
from slipway_inference.serving.served_model import ServedModel
from slipway_inference.serving.stores import Stores
from slipway_inference.serving.stream_slots import Stream, StreamSlots

_ERRORS = (
    *BODY_ERRORS,
    errors.StoreUnavailable,
    errors.InsufficientStorage,
    errors.UnknownModality,
    errors.IdempotencyConflict,
    errors.WebhookRefused,
    errors.QueueFull,
    errors.TooManyStreams,
    errors.ModelNotReady,
    errors.InternalError,
)


class JobSubmitter:
    """Stores the jobs that clients submit, and notifies workers."""

    def __init__(
        self,
        model: ServedModel,
        stores: Stores,
        streams: StreamSlots,
        reader: SubmissionReader,
        webhook_addresses: WebhookAddressPolicy,
    ) -> None:
        self._model = model
        self._stores = stores
        self._streams = streams
        self._reader = reader
        self._webhook_addresses = webhook_addresses

    async def respond(self, request: Request, modality: str) -> Response:
        """Return the response to a submission, after the job has been stored.

        Raises what `SubmissionReader.read` raises, and _ERRORS.
        """
        jobs = self._stores.jobs
        check_modality(self._model.manifest, modality)
        with self._streams.hold(Stream.UPLOAD, request.scope):
            submission = await self._reader.read(request, modality)
            if submission.job.webhook_url is not None:
                await self._webhook_addresses.resolve(submission.job.webhook_url)
            job, rings = await jobs.submit(submission.job, submission.items)
        await notify_workers(self._stores.doorbell, rings)
        path = status_path(request, job.id)
        accepted = {
            "task_id": str(job.id),
            "status": job.state,
            "total": job.total,
            "status_url": path,
        }
        return json_response(accepted, 202, {"Location": path})


def create_router(submitter: JobSubmitter) -> APIRouter:
    """Return the routes that take jobs."""
    router = APIRouter(tags=["batch"], route_class=LeanRoute)

    @router.post("/predict/text/batch", **_document("texts"))
    async def submit_text(request: Request) -> Response:
        return await submitter.respond(request, "text")

    @router.post("/predict/tabular/batch", **_document("rows of a table"))
    async def submit_tabular(request: Request) -> Response:
        return await submitter.respond(request, "tabular")

    @router.post("/predict/image/batch", **_document("images"))
    async def submit_image(request: Request) -> Response:
        return await submitter.respond(request, "image")

    @router.post("/predict/{modality}/batch", include_in_schema=False)
    async def submit_unknown(request: Request) -> Response:
        raise unknown_modality(request.path_params["modality"])

    return router


def _document(inputs: str) -> dict[str, Any]:
    """Return the arguments that document a route in its decorator."""
    example = {
        "task_id": EXAMPLE_ID,
        "status": "queued",
        "total": 2,
        "status_url": f"/predict/status/{EXAMPLE_ID}",
    }
    location = {"Location": {"schema": {"type": "string"}, "description": "The status_url."}}
    lines = '"first text"\n{"input_text": "second text"}\n'
    return {
        "summary": f"Submit a batch of {inputs}",
        "response_class": Response,
        "status_code": 202,
        "responses": {
            202: success("The job is stored", JobAccepted, example, headers=location),
            **error_responses(PROBLEMS, *_ERRORS),
        },
        "openapi_extra": {
            "parameters": QUERY_PARAMETERS,
            "requestBody": {
                "required": True,
                "content": {
                    JSON: {"schema": reference(BatchRequest)},
                    NDJSON: {"schema": {"type": "string"}, "example": lines},
                },
            },
        },
    }
