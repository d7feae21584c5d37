"""Puts the application together: the routes, the errors, the metrics, and the edge around them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match

from slipway_core.errors import SlipwayError
from slipway_inference.api.jobs import status
from slipway_inference.api.jobs import submit as batch
from slipway_inference.api.open_inference import routes as infer_v2
from slipway_inference.api.openai import routes as openai
from slipway_inference.api.operations import docs, health
from slipway_inference.api.slipway import predict, predictions
from slipway_inference.http import metrics
from slipway_inference.http import openapi as api_document
from slipway_inference.http.edge import CLIENT_GONE_STATUS, Edge
from slipway_inference.http.error_answers import render_error
from slipway_inference.serving.health import HealthCheck
from slipway_inference.serving.service import Service
from slipway_inference.settings import InferenceSettings

# Another protocol is one more router here, and one more form in `error_answers`.
ROUTERS: tuple[APIRouter, ...] = (
    predict.router,
    batch.router,
    status.router,
    predictions.router,
    openai.router,
    infer_v2.router,
    health.router,
    docs.router,
)


def create_app(settings: InferenceSettings, service: Service) -> Edge:
    """The whole ASGI application; `service` is started and stopped with it."""
    return Edge(create_routes(service), settings, service)


def create_routes(service: Service) -> FastAPI:
    """The FastAPI application without the edge: also what the API document is made from."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        app.state.health = HealthCheck(service)
        yield
        await service.stop()

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.router.redirect_slashes = False
    app.state.service = service
    for router in ROUTERS:
        app.router.routes.extend(router.routes)
    for kind in (SlipwayError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, _answer_with_error)
    app.add_exception_handler(ClientDisconnect, _answer_nobody)
    metrics.instrument(app)
    api_document.install(app)
    return app


async def _answer_with_error(request: Request, error: Exception) -> Response:
    response = render_error(request.scope, error)
    if response.status_code == 405:
        response.headers["Allow"] = ", ".join(sorted(_methods_of_path(request)))
    return response


def _methods_of_path(request: Request) -> set[str]:
    """The methods of all routes with this path: Starlette names only those of the first."""
    return {
        method
        for route in request.app.routes
        if route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods
    }


async def _answer_nobody(request: Request, error: Exception) -> Response:
    """The client has gone: nothing is sent, but the request ends in order and is counted as 4xx."""
    return Response(status_code=CLIENT_GONE_STATUS)
