"""POST /predict/{modality}/batch: store a job of any length, answer when it is safe."""

from __future__ import annotations

import structlog
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from slipway_core.errors import QueueUnavailable, UnknownModality
from slipway_core.queue.contract import Doorbell
from slipway_core.webhooks.address_policy import WebhookAddressPolicy
from slipway_inference.api.jobs.submission import read_submission
from slipway_inference.http.bodies import JSON
from slipway_inference.http.json import dump_json
from slipway_inference.http.lean_route import LeanRoute
from slipway_inference.http.links import status_path
from slipway_inference.http.openapi import describe_submission
from slipway_inference.serving.service import Service

log = structlog.get_logger("slipway.batch")

router = APIRouter(tags=["batch"], route_class=LeanRoute)


@router.post("/predict/text/batch", **describe_submission("text"))
async def submit_text(request: Request) -> Response:
    return await _submit(request, "text")


@router.post("/predict/tabular/batch", **describe_submission("tabular"))
async def submit_tabular(request: Request) -> Response:
    return await _submit(request, "tabular")


@router.post("/predict/image/batch", **describe_submission("image"))
async def submit_image(request: Request) -> Response:
    return await _submit(request, "image")


@router.post("/predict/{modality}/batch", include_in_schema=False)
async def submit_unknown(request: Request) -> Response:
    name = request.path_params["modality"][:64]
    raise UnknownModality(f"'{name}' is not a modality; there are text, tabular and image")


async def _submit(request: Request, modality: str) -> Response:
    service: Service = request.app.state.service
    jobs = service.jobs
    served = service.manifest.served_modalities()
    if modality not in served:
        raise UnknownModality(f"this model serves {', '.join(served)}, not '{modality}'")
    with service.stream():
        submission = await read_submission(service, request, modality)
        if submission.job.webhook_url is not None:
            await WebhookAddressPolicy(service.settings).resolve(submission.job.webhook_url)
        job, rings = await jobs.submit(submission.job, submission.items)
    await _ring(service.doorbell, rings)
    path = status_path(request.scope, job.id)
    content = {
        "task_id": str(job.id),
        "status": job.state,
        "total": job.total,
        "status_url": path,
    }
    return Response(dump_json(content), 202, {"Location": path}, JSON)


async def _ring(doorbell: Doorbell | None, rings: list[str]) -> None:
    """Announce the job. It is stored already: when this fails, the sweeper announces it later."""
    if doorbell is None or not rings:
        return
    try:
        await doorbell.ring(rings)
    except QueueUnavailable as error:
        log.warning("the queue was not rung", code=error.code, cause=error.message)
