"""/health for people, /livez and /readyz for probes, /metrics for Prometheus."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from slipway_core import errors
from slipway_inference.api.operations.schemas import Alive, Health
from slipway_inference.http.json import json_response
from slipway_inference.http.openapi import error_responses, success
from slipway_inference.http.problems import PROBLEMS
from slipway_inference.http.routing import LeanRoute
from slipway_inference.serving.health import HealthCheck
from slipway_inference.serving.lifecycle import Lifecycle


def create_router(
    health: HealthCheck, lifecycle: Lifecycle, *, with_probes: bool = True
) -> APIRouter:
    """Return the routes that operate the service. Without probes: they have a port of their own."""
    router = APIRouter(tags=["operation"], route_class=LeanRoute)

    @router.get("/health", **_HEALTH)
    async def read_health(request: Request) -> Response:
        summary = await health.summary()
        return json_response(summary, 503 if summary["status"] == "unavailable" else 200)

    if not with_probes:
        return router

    @router.get("/livez", **_LIVEZ)
    async def read_liveness(request: Request) -> Response:
        return json_response({"status": "alive"})

    @router.get("/readyz", **_READYZ)
    async def read_readiness(request: Request) -> Response:
        lifecycle.check_ready()
        return json_response({"status": "ready"})

    @router.get("/metrics", **_METRICS)
    async def read_metrics(request: Request) -> Response:
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return router


def _document(
    summary: str, responses: dict[int | str, Any], *kinds: type[errors.SlipwayError]
) -> dict[str, Any]:
    """Return the arguments that document a route in its decorator."""
    return {
        "summary": summary,
        "response_class": Response,
        "responses": {**responses, **error_responses(PROBLEMS, *kinds)},
    }


_HEALTH = _document(
    "State of the service",
    {
        200: success("`ok`, or `degraded` with reasons", Health),
        503: success("`unavailable`: the model is loading or the server shuts down", Health),
    },
)
_LIVEZ = _document(
    "Whether the process is alive", {200: success("It is", Alive, {"status": "alive"})}
)
_READYZ = _document(
    "Whether the server accepts predictions",
    {200: success("The model is loaded", Alive, {"status": "ready"})},
    errors.ModelNotReady,
    errors.Draining,
)
_METRICS = _document(
    "Metrics for Prometheus",
    {
        200: {
            "description": "Prometheus' text format",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        }
    },
)
