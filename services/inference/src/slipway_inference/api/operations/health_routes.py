"""/health for people, /livez and /readyz for probes, /metrics for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from slipway_core import errors
from slipway_inference.api import responses
from slipway_inference.http.bodies import JSON
from slipway_inference.http.json import dump_json
from slipway_inference.http.lean_route import LeanRoute
from slipway_inference.http.openapi import problems, success
from slipway_inference.serving.health import HealthCheck
from slipway_inference.serving.service import Service

router = APIRouter(tags=["operation"], route_class=LeanRoute)


@router.get(
    "/health",
    summary="How the service is doing",
    response_class=Response,
    responses={
        200: success("`ok`, or `degraded` with reasons", responses.Health),
        503: success("`unavailable`: the model is loading or the server stops", responses.Health),
        **{status: entry for status, entry in problems().items()},
    },
)
async def read_health(request: Request) -> Response:
    check: HealthCheck = request.app.state.health
    summary = await check.summary()
    return Response(
        dump_json(summary), 503 if summary["status"] == "unavailable" else 200, None, JSON
    )


@router.get(
    "/livez",
    summary="Whether the process runs",
    response_class=Response,
    responses={200: success("It does", responses.Alive, {"status": "alive"}), **problems()},
)
async def read_liveness(request: Request) -> Response:
    return Response(b'{"status":"alive"}', media_type=JSON)


@router.get(
    "/readyz",
    summary="Whether requests should be sent here",
    response_class=Response,
    responses={
        200: success("The model is loaded", responses.Alive, {"status": "ready"}),
        **problems(errors.ModelNotReady, errors.Draining),
    },
)
async def read_readiness(request: Request) -> Response:
    service: Service = request.app.state.service
    service.check_ready()
    return Response(b'{"status":"ready"}', media_type=JSON)


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={
        200: {
            "description": "Prometheus' text format",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **problems(),
    },
)
async def read_metrics(request: Request) -> Response:
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
